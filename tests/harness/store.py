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
from stack.ports import free_ports
from stack.store import store_part, store_uri
from tests.harness import containers

Document = dict[str, Any]


class StoreServer:
    """A running store. `part` is its process where the tests own one, to be killed and started again."""

    def __init__(self, uri: str, part: Part | None = None) -> None:
        self.uri = uri
        self.part = part

    @contextmanager
    def database(self) -> Iterator["StoreDatabase"]:
        """A fresh database with a name of its own, dropped at the end if the store still answers."""
        database = StoreDatabase(_with_database(self.uri, f"test_{uuid.uuid4().hex[:12]}"))
        try:
            yield database
        finally:
            if self.part is None or self.part.running():
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
    """A store of the caller's own, which may be killed and restarted: `server.part`."""
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
