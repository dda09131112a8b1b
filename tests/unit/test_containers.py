"""The files around the containers agree with each other."""

import re
from pathlib import Path

import pytest

from stack.broker import MAX_MESSAGE_BYTES

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
EXAMPLE = (CHECKOUT / ".env.example").read_text(encoding="utf-8")


def pinned(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)", (CHECKOUT / name).read_text(encoding="utf-8").lower(), re.M))


def test_every_secret_that_compose_demands_is_to_be_filled_in() -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert set(re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.M)) == demanded


def test_everything_else_that_compose_reads_is_explained_in_the_example() -> None:
    optional = set(re.findall(r"\$\{(\w+):-", COMPOSE))
    assert set(re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.M)) == optional


def test_no_secret_has_a_default() -> None:
    assert not re.findall(r"\$\{(\w*(?:SECRET|KEY|KEYS|PASSWORD)):?-.", COMPOSE.replace(":-}", "}"))


@pytest.mark.parametrize("name", sorted(pinned("requirements-services.in")))
def test_every_package_of_the_image_is_pinned(name: str) -> None:
    assert name in pinned("requirements.txt")


def test_the_image_gets_no_embedded_store() -> None:
    assert "secantusdb" not in pinned("requirements-services.in")


def test_the_broker_takes_messages_of_the_same_size_as_under_make_run() -> None:
    settings = (CHECKOUT / "container" / "rabbitmq.conf").read_text(encoding="utf-8")
    assert re.findall(r"^max_message_size = (\d+)$", settings, re.M) == [str(MAX_MESSAGE_BYTES)]
