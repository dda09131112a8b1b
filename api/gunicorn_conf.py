"""gunicorn's settings. Threads, because a request waits for the store and holds no CPU meanwhile.

Slow clients don't hold threads. gunicorn's own threaded worker gives a connection a thread at its first byte,
and the thread waits for the rest. PatientWorker's loop receives instead, without waiting, and a thread gets a
request that is here whole; an incomplete one is answered 408 ten seconds after its first byte, whether it
drips or is silent. An answer that its client doesn't read ends after ten seconds, too. What a slow client
holds is one of ``worker_connections`` and its part of 128 MiB of incomplete requests per worker;
gunicorn_worker.py and lingering.py have these times and sizes, and tests/e2e/test_slow_clients.py shows that
80 dripping and 300 silent clients hold up nobody.
"""

import os
import sys
from datetime import timedelta
from typing import Any

from delivery.bootstrap import may_listen
from delivery.config import load_config
from delivery.domain.errors import StoreUnavailable
from delivery.garbage import freeze_start
from delivery.logs import set_up_logging

_config = load_config(os.environ)
_api = _config.api

bind = f"{_api.host}:{_api.port}"
workers = _api.workers
threads = _api.threads
worker_class = "api.gunicorn_worker.PatientWorker"
worker_connections = 1000
backlog = 1024
# What a request may have before its body; more is refused with 414 or 431. max_body_bytes bounds the body,
# and delivery/contract/json_bodies.py what is in it.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
keepalive = 15
timeout = 60
graceful_timeout = 12
accesslog = None  # paths may hold webhook tokens
control_socket_disable = True

BROKER_WAIT = timedelta(seconds=2)
"""What is accepted before a worker is connected waits some seconds for the relay."""

STOP_WAIT = timedelta(seconds=2)


def on_starting(_server: Any) -> None:
    """Ends the process before anything listens, where everybody could send."""
    set_up_logging()
    try:
        may = may_listen(_config)
    except StoreUnavailable:
        sys.exit(f"not started: API_HOST is {_api.host}, and the store is away, so nobody knows the keys")
    if not may:
        sys.exit(
            f"not started: API_HOST is {_api.host}, which others can reach, and there is no key yet. "
            "Set API_KEYS, or make one: postroom keys create <tenant> --scope send,read --name <name>"
        )


def post_worker_init(worker: Any) -> None:
    """Connect to the broker before the first request, in the worker: a loop does not survive the fork."""
    set_up_logging()
    parts = worker.wsgi.extensions["postroom"]
    parts.publishing.start()
    parts.publishing.wait_until_connected(BROKER_WAIT)
    freeze_start()


def worker_exit(_server: Any, worker: Any) -> None:
    """The last debts are published and struck here: what is left, the relay publishes once more."""
    if hasattr(worker, "wsgi"):  # not where the app could not be loaded
        parts = worker.wsgi.extensions["postroom"]
        parts.publishing.stop(STOP_WAIT)
        parts.store.tally.flush()
