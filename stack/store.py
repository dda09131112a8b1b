"""The store of a machine without MongoDB: a `mongod` if there is one, else the embedded SecantusDB."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from stack.part import Part
from stack.ports import LOOPBACK


def store_part(*, port: int, folder: Path, log: Path, owner: str, environ: Mapping[str, str]) -> Part:
    """A store in a process of its own. `folder` keeps its files; each kind of store has its own inside."""
    mongod = shutil.which("mongod")
    kind = "mongod" if mongod else "secantus"
    data = folder / kind
    data.mkdir(parents=True, exist_ok=True)
    argv = _mongod_argv(mongod, port, data) if mongod else _secantus_argv(port, data)
    env = {**environ, "HOME": str(folder)}
    return Part("store", argv, env=env, cwd=folder, log=log, owner=owner, ready=lambda: _answers(port))


def store_uri(port: int, database: str) -> str:
    """retryWrites=false: one node keeps no bookkeeping for it, or (SecantusDB) a quadratic one."""
    return f"mongodb://{LOOPBACK}:{port}/{database}?retryWrites=false&directConnection=true"


def _mongod_argv(mongod: str, port: int, data: Path) -> list[str]:
    return [mongod, "--bind_ip", LOOPBACK, "--port", str(port), "--dbpath", str(data)]


def _secantus_argv(port: int, data: Path) -> list[str]:
    server = Path(sys.executable).with_name("secantusd-py")
    # --sync-on-commit: an acknowledged write survives a power cut too, as `j: true` promises.
    options = ["--standalone", "--sync-on-commit", "--host", LOOPBACK, "--log-level", "WARNING"]
    return [str(server), *options, "--port", str(port), "--storage-path", str(data)]


def _answers(port: int) -> bool:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
        store_uri(port, "admin"),
        serverSelectionTimeoutMS=300,
        connectTimeoutMS=1000,
        socketTimeoutMS=1000,
    )
    with client:
        try:
            client.admin.command("ping")
        except PyMongoError:
            return False
        return True
