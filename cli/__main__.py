"""``python -m cli``, or ``./postroom``.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the store is away, 4 the broker is away (what was decided
about emails is decided; only their letters are still there), 130 stopped with Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from pymongo.errors import PyMongoError

from cli import emails, keys, parked, stack, tenants, topology
from cli.output import Output
from cli.parts import build_parts
from delivery.config_values import InvalidConfiguration
from delivery.domain.errors import BrokerUnavailable, InvalidRequest, PostroomError, StoreUnavailable
from delivery.domain.states import State

REFUSED, STORE_AWAY, BROKER_AWAY = 1, 3, 4
INTERRUPTED = 130
"""As shells have it for SIGINT."""


def main(given: Sequence[str], environ: Mapping[str, str]) -> int:
    arguments = _parser().parse_args(given)
    try:
        _check(given)
        arguments.command(arguments, build_parts(environ), Output(as_json=arguments.json))
    except StoreUnavailable:
        return _fail(STORE_AWAY, "the store is away; is MONGODB_URI right?")
    except PyMongoError as error:
        return _fail(STORE_AWAY, f"the store refuses; is MONGODB_URI right? ({type(error).__name__})")
    except BrokerUnavailable:
        return _fail(BROKER_AWAY, "the broker is away; is AMQP_URL right?")
    except (PostroomError, InvalidConfiguration) as error:
        return _fail(REFUSED, str(error))
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "stopped")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postroom", description="Operate postroom.")
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--json", action="store_true", help="print JSON, for scripts")
    rooms = parser.add_subparsers(required=True, metavar="what")
    tenants.add_parser(rooms, options=options)
    keys.add_parser(rooms, options=options)
    emails.add_parser(rooms, options=options)
    parked.add_parser(rooms, State.DEAD, options=options)
    parked.add_parser(rooms, State.HELD, options=options)
    topology.add_parser(rooms)
    stack.add_parser(rooms, options=options)
    return parser


def _check(given: Sequence[str]) -> None:
    """Bytes that are no UTF-8 come as surrogates, which can be neither stored nor printed."""
    try:
        "".join(given).encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the arguments are not UTF-8") from None


def _fail(code: int, why: str) -> int:
    print(f"postroom: {why}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
