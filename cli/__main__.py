"""``python -m cli``, or ``./postroom``. Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the store is away."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from cli import keys, tenants
from cli.output import Output
from delivery.bootstrap import Store, build_store
from delivery.config import InvalidConfiguration, load_config
from delivery.domain.errors import InvalidRequest, PostroomError, StoreUnavailable

REFUSED, STORE_AWAY = 1, 3

RUNNING = Path(".postroom/running.json")
"""Where a `make run` in this folder says how to reach its store."""

_TIMEOUT = timedelta(seconds=10)


def main(given: Sequence[str], environ: Mapping[str, str]) -> int:
    arguments = _parser().parse_args(given)
    try:
        _check(given)
        arguments.command(arguments, _store(environ), Output(as_json=arguments.json))
    except StoreUnavailable:
        return _fail(STORE_AWAY, "the store is away; is MONGODB_URI right?")
    except PyMongoError as error:
        return _fail(STORE_AWAY, f"the store refuses; is MONGODB_URI right? ({type(error).__name__})")
    except (PostroomError, InvalidConfiguration) as error:
        return _fail(REFUSED, str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postroom", description="Operate postroom.")
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--json", action="store_true", help="print JSON, for scripts")
    rooms = parser.add_subparsers(required=True, metavar="what")
    tenants.add_parser(rooms, options=options)
    keys.add_parser(rooms, options=options)
    return parser


def _check(given: Sequence[str]) -> None:
    """Bytes that are no UTF-8 come as surrogates, which can be neither stored nor printed."""
    try:
        "".join(given).encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the arguments are not UTF-8") from None


def _store(environ: Mapping[str, str]) -> Store:
    """Raises InvalidConfiguration. The driver's own words may quote the URI, and with it the password."""
    config = load_config({"MONGODB_URI": _running_store(), **environ})
    try:
        return build_store(config, timeout=_TIMEOUT)
    except (PyMongoError, ValueError) as error:
        raise InvalidConfiguration(f"MONGODB_URI can't be used ({type(error).__name__})") from None


def _running_store() -> str:
    """The store of a stack that runs in this folder; else where stores are."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        running: dict[str, Any] = json.loads(RUNNING.read_text(encoding="utf-8"))
        return str(running["mongodb_uri"])
    return "mongodb://127.0.0.1:27017/postroom"


def _fail(code: int, why: str) -> int:
    print(f"postroom: {why}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
