"""`python -m stack run|demo`: the whole system on one machine."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from stack.demo import demo
from stack.plan import Ports
from stack.run import run


def main() -> int:
    arguments = _parser().parse_args()
    status: int = arguments.command(arguments)
    return status


def _run(arguments: argparse.Namespace) -> int:
    ports = Ports(**{field.name: getattr(arguments, f"{field.name}_port") for field in fields(Ports)})
    return run(
        folder=arguments.folder,
        ports=ports,
        consumers=arguments.consumers,
        is_extended=arguments.extended,
        console=Console(),
    )


def _demo(arguments: argparse.Namespace) -> int:
    return demo(folder=arguments.folder, count=arguments.emails, within=arguments.within, console=Console())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description="postroom on one machine.")
    commands = parser.add_subparsers(required=True, metavar="run|demo")

    run_parser = commands.add_parser("run", help="start everything, in the foreground")
    run_parser.set_defaults(command=_run)
    _add_folder(run_parser)
    run_parser.add_argument("--consumers", type=int, default=1, metavar="N", help="consumer processes (1)")
    run_parser.add_argument(
        "--extended",
        action="store_true",
        help="with a provider that takes all fields: subject, html, several recipients, attachments …",
    )
    for field in fields(Ports):
        run_parser.add_argument(
            f"--{field.name.replace('_', '-')}-port",
            type=int,
            default=field.default,
            metavar="PORT",
            help=f"or the next free one ({field.default})",
        )

    demo_parser = commands.add_parser("demo", help="send mixed emails through a running stack")
    demo_parser.set_defaults(command=_demo)
    _add_folder(demo_parser)
    demo_parser.add_argument("--emails", type=int, default=300, metavar="N", help="how many (300)")
    demo_parser.add_argument(
        "--within", type=float, default=300.0, metavar="SECONDS", help="for all to end (300)"
    )
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=Path, default=Path(".postroom"), help="data, secrets and logs (.postroom)"
    )


if __name__ == "__main__":
    sys.exit(main())
