"""Whoever installs the client gets nothing of the service, and needs aio-pika only to publish."""

import ast
import sys
from pathlib import Path

import postroom_client
import pytest

FILES = sorted(Path(postroom_client.__file__).parent.glob("*.py"))
ALLOWED = {"postroom_client", "requests", *sys.stdlib_module_names}
FOR_AMQP = {"aio_pika", "aiormq"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_client_imports_nothing_but_what_it_is_installed_with(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= (ALLOWED | FOR_AMQP if file.stem.startswith("amqp") else ALLOWED)
