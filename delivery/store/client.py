"""The connection to MongoDB, and what its driver's errors mean to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pymongo
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable

Document = dict[str, Any]
DEFAULT_DATABASE = "postroom"

IN_ONE_REPLY = 1000
"""A batch size for what is read by its ids: a server would send 101 documents and wait to be asked for the
rest. https://www.mongodb.com/docs/manual/tutorial/iterate-a-cursor/#cursor-batches"""

DURABLE = WriteConcern(w="majority", j=True)
"""Acknowledged only when a majority has it in its journal: what was accepted must survive a crash."""

_NOT_SENT = (ServerSelectionTimeoutError, WaitQueueTimeoutError)
_PASSING = frozenset({24, 43, 112, 175, 237, 246})
"""LockTimeout, CursorNotFound, WriteConflict, QueryPlanKilled, CursorKilled, SnapshotUnavailable: a restart
or a load of the server's, over when the call is repeated.
https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml"""

_MAY_HAVE_HAPPENED = (
    AutoReconnect,
    ConnectionFailure,
    ExecutionTimeout,
    NotPrimaryError,
    WTimeoutError,
    WriteConcernError,
)


def connect(uri: str, *, timeout: timedelta) -> MongoClient[Document]:
    """A client whose every call, retries included, ends within ``timeout``. Connects lazily."""
    milliseconds = int(timeout.total_seconds() * 1000)
    return MongoClient(
        uri,
        tz_aware=True,
        connect=False,
        timeoutMS=milliseconds,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        appname="postroom",
    )


def database(client: MongoClient[Document], uri: str) -> Database[Document]:
    """The database that the URI names, with durable writes."""
    name = parse_uri(uri)["database"] or DEFAULT_DATABASE
    # What was just written is read back at once: from a secondary it might not be there yet.
    return client.get_database(name, write_concern=DURABLE, read_preference=ReadPreference.PRIMARY)


def time_to_write(size: int) -> timedelta:
    """How long a store under load may take for so many bytes, beyond the usual few."""
    return timedelta(seconds=5 + 2 * size / (1024 * 1024))


@contextmanager
def calls_within(timeout: timedelta) -> Iterator[None]:
    """Calls to a store that is there may take so long, whatever the client's timeout is."""
    with pymongo.timeout(timeout.total_seconds()):
        yield


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's errors for an absent or stalled store into ours.

    Raises StoreUnavailable when nothing was written and StoreOutcomeUnknown when something may have been.
    Other errors (a duplicate key, a mistake of ours) pass unchanged.
    """
    try:
        yield
    except _NOT_SENT as error:
        raise StoreUnavailable(type(error).__name__) from error
    except BulkWriteError as error:
        if error.details.get("writeConcernErrors"):
            raise StoreOutcomeUnknown(type(error).__name__) from error
        raise
    except _MAY_HAVE_HAPPENED as error:
        raise StoreOutcomeUnknown(type(error).__name__) from error
    except OperationFailure as error:
        if error.has_error_label("RetryableWriteError") or error.timeout or error.code in _PASSING:
            raise StoreOutcomeUnknown(type(error).__name__) from error
        raise


def ping(db: Database[Document]) -> bool:
    """Whether the store answers at this moment."""
    try:
        db.command("ping")
    except PyMongoError:
        return False
    return True
