"""`python -m topology show|declare|check`.

Exit codes: 0 all is as it should be, 1 something differs, 2 wrong usage or the broker can't be asked.
"""

import argparse
import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

import aio_pika
from aio_pika.exceptions import AMQPError, InvalidFrameError

from topology.check import Report, check
from topology.declare import TopologyMismatch, declare
from topology.definition import postroom_topology
from topology.delay_steps import DELAY_STEPS
from topology.management import Listing, ManagementUnavailable, read_listing
from topology.model import Topology
from topology.show import show

SAME, DIFFERS, CANNOT_ASK = 0, 1, 2
CONNECT_TIMEOUT = 10.0


NARROWEST = 130
"""Characters. In less, names would be cut in pieces."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        topology = postroom_topology(delay_steps=options.delay_step or DELAY_STEPS)
    except ValueError as error:
        parser.exit(CANNOT_ASK, f"{error}\n")
    if options.command == "show":
        columns = shutil.get_terminal_size(fallback=(160, 0)).columns
        print(show(topology, width=max(columns, NARROWEST)), end="")
        return SAME
    if not options.amqp_url:
        parser.exit(CANNOT_ASK, "no broker given: set AMQP_URL or use --amqp-url\n")
    if not _is_broker_url(options.amqp_url):
        parser.exit(CANNOT_ASK, "the broker's URL is not of the form amqp://user:password@host:port/vhost\n")
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it logs is in the error that we print
    return _ask_broker(options, topology)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topology",
        usage="%(prog)s {show,declare,check} [options]",
        description="What postroom has on its RabbitMQ virtual host.",
    )
    parser.add_argument("command", choices=("show", "declare", "check"))
    parser.add_argument(
        "--amqp-url",
        default=os.environ.get("AMQP_URL"),
        help="amqp://user:password@host:port/vhost (default: the environment's AMQP_URL)",
    )
    parser.add_argument(
        "--management-url",
        help="http://host:15672; lets check compare bindings and find leftovers (same login as AMQP)",
    )
    parser.add_argument(
        "--delay-step",
        nargs="+",
        action="extend",
        metavar="STEP",
        help=f"the steps of the retry schedules in use (default: {' '.join(DELAY_STEPS)})",
    )
    return parser


def _ask_broker(options: argparse.Namespace, topology: Topology) -> int:
    broker = urlsplit(options.amqp_url)
    try:
        if options.command == "declare":
            asyncio.run(_declare(options.amqp_url, topology))
            print(f"declared {len(topology.exchanges)} exchanges and {len(topology.queues)} queues")
            return SAME
        listing = _listing(options.management_url, broker) if options.management_url else None
        return _print_report(asyncio.run(_check(options.amqp_url, topology, listing)))
    except TopologyMismatch as mismatch:
        print(mismatch, file=sys.stderr)
        return DIFFERS
    except ManagementUnavailable as error:
        print(error, file=sys.stderr)
    except (AMQPError, OSError) as error:  # OSError includes TimeoutError
        address = f"{broker.hostname}:{broker.port or 5672}"
        print(f"the broker at {address} can't be asked: {_reason(error)}", file=sys.stderr)
    return CANNOT_ASK


def _is_broker_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidFrameError):  # how aiormq tells that the broker closed what was to be opened
        return "it has no such virtual host, or it is not for this user"
    return str(error) or type(error).__name__


async def _declare(amqp_url: str, topology: Topology) -> None:
    async with await aio_pika.connect(amqp_url, timeout=CONNECT_TIMEOUT) as connection:
        await declare(connection, topology)


async def _check(amqp_url: str, topology: Topology, listing: Listing | None) -> Report:
    async with await aio_pika.connect(amqp_url, timeout=CONNECT_TIMEOUT) as connection:
        return await check(connection, topology, listing=listing)


def _listing(management_url: str, broker: SplitResult) -> Listing:
    return read_listing(
        management_url,
        vhost=unquote(broker.path[1:]) or "/",
        user=unquote(broker.username or "guest"),
        password=unquote(broker.password or "guest"),
    )


def _print_report(report: Report) -> int:
    for difference in report.differences:
        detail = f": {difference.detail}" if difference.detail else ""
        print(f"{difference.kind}: {difference.entity}{detail}")
    for note in report.notes:
        print(f"note: {note}")
    if report.differences:
        return DIFFERS
    print("the broker has what it should")
    return SAME


if __name__ == "__main__":
    sys.exit(main())
