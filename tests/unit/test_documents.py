"""The documents point at what is there."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("*/README.md")])
ROOMS = (
    "api",
    "bench",
    "consumers",
    "container",
    "delivery",
    "docs",
    "simulator",
    "stack",
    "tests",
    "topology",
)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(document: Path) -> set[str]:
    """The names under which a document's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(document.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name_of(document: Path) -> str:
    return str(document.relative_to(CHECKOUT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = without_code(document.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:", link)]
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (document.parent / unquote(path)).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)`", text)
    assert [path for path in named if not (CHECKOUT / path).exists()] == []


@pytest.mark.parametrize(
    "file", ["requirements-services.in", "requirements.in", "requirements-dev.in", "requirements-bench.in"]
)
def test_every_dependency_has_a_reason(file: str) -> None:
    asked_for = re.findall(r"^([A-Za-z][\w-]*)", (CHECKOUT / file).read_text(encoding="utf-8"), re.M)
    reasons = (CHECKOUT / "docs/adr/0002-dependencies.md").read_text(encoding="utf-8")
    named = re.findall(r"[\w-]+", " ".join(re.findall(r"^\| ([^|]*) \|", reasons, re.M)))
    assert asked_for
    assert [name for name in asked_for if name not in named] == []


def test_every_log_line_of_the_runbook_is_one_that_is_written() -> None:
    runbook = " ".join((CHECKOUT / "docs/runbook.md").read_text(encoding="utf-8").split())
    heads = {quoted.partition("=…")[0] + "=" for quoted in re.findall(r"`([^`]*=…[^`]*)`", runbook)}
    source = "".join(
        path.read_text(encoding="utf-8")
        for room in ("api", "consumers", "delivery")
        for path in CHECKOUT.glob(f"{room}/**/*.py")
    )
    assert len(heads) >= 5
    assert [head for head in sorted(heads) if head not in source] == []
