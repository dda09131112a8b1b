"""`python -m simulator`: the mail provider that misbehaves on request. README.md says how to run it."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from simulator.faults import Faults
from simulator.faults_parser import FaultsError, merge_faults
from simulator.server import Options, serve
from simulator.webhooks import WebhookOptions

SECRET_VARIABLE = "SIMULATOR_WEBHOOK_SECRET"


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    try:
        options = _options(arguments, secret=os.environ.get(SECRET_VARIABLE, ""))
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(serve(options, announce=lambda line: print(line, flush=True)))
    except OSError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="A mail provider that misbehaves."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081, help="0: any free port (default: 8081)")
    parser.add_argument(
        "--control-port", type=int, help="a second port for the control routes; never refused"
    )
    parser.add_argument("--webhook-url", help="where reports go; without it none are sent")
    parser.add_argument(
        "--webhook-secret-in-path", metavar="TOKEN", help="appended to the URL instead of signing"
    )
    parser.add_argument("--webhook-retry-delays", default="1,4,15,40", help="seconds before each further try")
    parser.add_argument("--webhook-concurrency", type=int, default=32)
    parser.add_argument("--faults", default="{}", help="fault settings: JSON, or the path of a JSON file")
    parser.add_argument(
        "--extended",
        action="store_true",
        help="also take subject, html, several recipients, headers, attachments …",
    )
    parser.add_argument("--seed", type=int, help="makes what is drawn by chance repeatable")
    return parser


def _options(arguments: argparse.Namespace, *, secret: str) -> Options:
    """Raises ValueError with a sentence for the person who typed."""
    return Options(
        host=arguments.host,
        port=arguments.port,
        control_port=arguments.control_port,
        faults=_faults(arguments.faults, has_control_port=arguments.control_port is not None),
        webhooks=_webhooks(arguments, secret=secret),
        extended=arguments.extended,
        seed=arguments.seed,
    )


def _faults(written: str, *, has_control_port: bool) -> Faults:
    text = written if written.lstrip().startswith("{") else Path(written).read_text()
    try:
        return merge_faults(Faults(), json.loads(text), has_control_port=has_control_port)
    except FaultsError as error:
        raise ValueError(f"--faults: {error}") from error


def _webhooks(arguments: argparse.Namespace, *, secret: str) -> WebhookOptions:
    url, token = arguments.webhook_url, arguments.webhook_secret_in_path
    if url is not None and token is None and not secret:
        raise ValueError(
            f"set {SECRET_VARIABLE} or --webhook-secret-in-path, so that webhooks can be trusted"
        )
    return WebhookOptions(
        url=url if url is None or token is None else f"{url.rstrip('/')}/{token}",
        secret=None if token is not None else secret.encode(),
        retry_delays=tuple(float(delay) for delay in arguments.webhook_retry_delays.split(",") if delay),
        concurrency=arguments.webhook_concurrency,
    )


if __name__ == "__main__":
    sys.exit(main())
