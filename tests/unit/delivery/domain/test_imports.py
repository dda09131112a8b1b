import ast
import sys
from pathlib import Path

import pytest

import delivery.domain

FILES = sorted(Path(delivery.domain.__file__).parent.glob("*.py"))


def _imported(source: str) -> set[str]:
    """The modules that a file names in its imports, by their whole names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def _is_pure(module: str) -> bool:
    return module.startswith("delivery.domain") or module.partition(".")[0] in sys.stdlib_module_names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_domain_imports_only_itself_and_the_standard_library(file: Path) -> None:
    assert [module for module in _imported(file.read_text()) if not _is_pure(module)] == []


def test_anything_else_would_be_noticed() -> None:
    modules = _imported("import json\nimport pymongo.errors\nfrom topology import names\nfrom . import x")
    assert {module for module in modules if not _is_pure(module)} == {"pymongo.errors", "topology", "."}
