"""``postroom stack``: the whole system on one machine, and whether it runs."""

import argparse
import os
import sys
from typing import NoReturn

import requests

from cli.output import Output
from cli.parts import RUNNING, Parts
from delivery.domain.errors import InvalidRequest

TIMEOUT = 5.0


def add_parser(
    rooms: "argparse._SubParsersAction[argparse.ArgumentParser]", *, options: argparse.ArgumentParser
) -> None:
    parser = rooms.add_parser("stack", help="everything on this machine: run it, see whether it runs")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    # No option is this parser's own: all go on to `python -m stack run`, --help, too.
    run = verbs.add_parser(
        "run", help="start everything, as make run does", add_help=False, prefix_chars="\0"
    )
    run.set_defaults(command=_run, json=False)
    run.add_argument("rest", nargs=argparse.REMAINDER)
    status = verbs.add_parser("status", parents=[options], help="show what runs in this folder")
    status.set_defaults(command=_status)


def _run(arguments: argparse.Namespace, _parts: Parts, _output: Output) -> NoReturn:
    """In this process's place, so that Ctrl-C and its signals reach it."""
    os.execv(sys.executable, [sys.executable, "-m", "stack", "run", *arguments.rest])


def _status(_arguments: argparse.Namespace, parts: Parts, output: Output) -> None:
    running = parts.running
    if not running or not _is_alive(running.get("pid")):
        raise InvalidRequest(f"no stack runs in this folder ({RUNNING} says none); start one: make run")
    output.one(
        {"pid": running["pid"], "api": running["api_url"], "readiness": _readiness(running["api_url"])}
    )


def _readiness(api_url: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return str(session.get(f"{api_url}/readyz", timeout=TIMEOUT).json()["status"])
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return "no answer"


def _is_alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
