"""``postroom topology``: ``python -m topology``, with the broker and the delays of this configuration."""

import argparse
import sys

from cli.output import Output
from cli.parts import Parts
from delivery.domain.errors import BrokerUnavailable
from topology.__main__ import CANNOT_ASK
from topology.__main__ import main as topology_main

VERBS = {
    "show": "print what exists on the broker",
    "declare": "declare what is missing",
    "check": "compare with what is there",
}


def add_parser(rooms: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = rooms.add_parser("topology", help="exchanges and queues on the broker")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for verb, text in VERBS.items():
        made = verbs.add_parser(verb, help=text)
        made.set_defaults(command=_ask, verb=verb, json=False)
        if verb == "check":
            made.add_argument(
                "--management-url", help="http://host:15672: compare bindings and leftovers, too"
            )


def _ask(arguments: argparse.Namespace, parts: Parts, _output: Output) -> None:
    """Exits with 1 if something differs. Raises BrokerUnavailable when the broker can't be asked."""
    asked = [arguments.verb, "--amqp-url", parts.config.amqp_url]
    if getattr(arguments, "management_url", None):
        asked += ["--management-url", arguments.management_url]
    status = topology_main([*asked, "--delay-step", *(step.name for step in parts.config.delay_steps)])
    sys.stdout.flush()
    if status == CANNOT_ASK:
        raise BrokerUnavailable
    if status:
        sys.exit(status)
