"""The store that tests use: MONGODB_URI if set, else a container, else a private process."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pymongo

from stack.part import Part
from stack.store import store_part, store_uri
from tests.harness import containers
from tests.harness.ports import free_ports

Document = dict[str, Any]


class StoreServer:
    """A running store. `part` is its process where the tests own one."""

    def __init__(self, uri: str, part: Part | None = None) -> None:
        self.uri = uri
        self.part = part

    def crash(self) -> None:
        """SIGKILL. Only for a store that belongs to the test (`own_store`)."""
        self._own_part().kill()

    def stop(self) -> None:
        """An orderly shutdown. Only for a store that belongs to the test."""
        self._own_part().stop(within=20)

    def start_again(self) -> None:
        """After crash() or stop(): the same port, the same data. Returns when it is ready."""
        self._own_part().start()
        self._own_part().wait_ready(60)

    def _own_part(self) -> Part:
        if self.part is None:
            raise LookupError("this store is not the test's own: use the fixture own_store")
        return self.part

    @contextmanager
    def database(self) -> Iterator["StoreDatabase"]:
        """A fresh database with a name of its own, dropped at the end unless the store is private."""
        database = StoreDatabase(_with_database(self.uri, f"test_{uuid.uuid4().hex[:12]}"))
        try:
            yield database
        finally:
            # A private store goes as a whole with its session; dropping 20,000 documents one by one, as
            # SecantusDB does, would take it a minute.
            if self.part is None:
                database.drop()
            database.client.close()


class StoreDatabase:
    """One test's database. `uri` is for the processes under test, `client` for the test's own looks."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.name = urlsplit(uri).path.lstrip("/")
        self.client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            uri, serverSelectionTimeoutMS=5000, socketTimeoutMS=30_000, tz_aware=True
        )

    @property
    def port(self) -> int:
        """Of its server."""
        return urlsplit(self.uri).port or 27017

    def __getitem__(self, collection: str) -> "pymongo.collection.Collection[Document]":
        return self.client[self.name][collection]

    def drop(self) -> None:
        self.client.drop_database(self.name)


@contextmanager
def running_store(folder: Path) -> Iterator[StoreServer]:
    """The store of a test session."""
    given = os.environ.get("MONGODB_URI")
    if given:
        yield StoreServer(given)
    elif containers.wanted(containers.store_image()):
        with containers.store() as uri:
            yield StoreServer(uri)
    else:
        with private_store(folder) as server:
            yield server


@contextmanager
def private_store(folder: Path) -> Iterator[StoreServer]:
    """A store of the caller's own, which may crash(), stop() and start_again()."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    part = store_part(
        port=port, folder=folder, log=folder / "store.log", owner=str(folder), environ=os.environ
    )
    try:
        part.start()
        part.wait_ready(60)
        yield StoreServer(store_uri(port, "postroom"), part)
    finally:
        part.kill()


def _with_database(uri: str, name: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(path=f"/{name}"))
