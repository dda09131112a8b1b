"""README.md is true where it can be checked without a running system: its bodies, routes and settings."""

import ast
import json
import re
import shlex
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from delivery import config
from delivery.config import api_processes_for, load_config
from delivery.config_values import EXTRA_FIELDS, Config
from delivery.contract.emails import EmailsContract
from delivery.contract.send import SendContract, SendSchema
from delivery.domain.errors import InvalidRequest
from delivery.domain.lanes import Lane
from delivery.providers.mail_delivery_service import parse_events
from tests.harness import readme

LOOPBACK_API = "http://127.0.0.1:8080"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LANE_KEYS = ("retry", "max_wait", "weight", "on_unknown", "unknown_deadline")


def curl_lines() -> list[list[str]]:
    """Every curl command of the README, in words."""
    scripts = [block.replace("\\\n", " ") for block in readme.blocks("sh")]
    lines = [line for script in scripts for line in script.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("curl ")]


def bodies(path: str) -> list[bytes]:
    posted = [words for words in curl_lines() if f"{LOOPBACK_API}{path}" in words]
    return [words[words.index("-d") + 1].encode() for words in posted]


def cells(row: str) -> list[str]:
    """The cells of a line of a Markdown table, without their backticks."""
    return [cell.strip().strip("`") for cell in row.strip().strip("|").split("|")]


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    text = readme.README.read_text(encoding="utf-8")
    match = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M)
    assert match is not None, heading
    return [cells(row) for row in match[1].splitlines()]


FIELDS = table("field")
VARIABLES = {name: default for name, default, _ in table("variable")}
SETTINGS = {name: default for name, default, _ in table("setting")}
LANES = {lane: dict(zip(LANE_KEYS, values, strict=True)) for lane, *values in table("lane")}


def read_in_source() -> tuple[set[str], set[str]]:
    """The variables and the settings that delivery/config.py reads, from its source.

    Its readers have the shape `env.<kind>("NAME", …)`, and `section.<kind>("key", …)` in a function
    `_read_<section>`, or `file.section("<section>").<kind>("key", …)`.
    """
    variables, settings = set(), set()
    source = ast.parse(Path(config.__file__).read_text(encoding="utf-8"))
    for function in (node for node in source.body if isinstance(node, ast.FunctionDef)):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=of, attr=kind), args=[ast.Constant(value=str(key)), *_]
                ):
                    if kind == "section":
                        continue
                    match of:
                        case ast.Name("env" | "environ"):
                            variables.add(key)
                        case ast.Name("section"):
                            settings.add(f"{function.name.removeprefix('_read_')}.{key}")
                        case ast.Call(
                            func=ast.Attribute(attr="section"), args=[ast.Constant(value=str(name))]
                        ):
                            settings.add(f"{name}.{key}")
    return variables, settings


def loaded(tmp_path: Path, toml: str, **environ: str) -> Config:
    file = tmp_path / "postroom.toml"
    file.write_text(toml, encoding="utf-8")
    return load_config({"POSTROOM_CONFIG": str(file), **environ})


def test_every_email_in_the_readme_is_accepted_but_the_one_that_shows_a_denial() -> None:
    contract = SendContract(extra_fields=frozenset())
    reasons = []
    for body in bodies("/send"):
        try:
            contract.parse(body, now=NOW)
        except InvalidRequest as error:
            reasons.append(str(error))
    assert len(bodies("/send")) >= 3
    assert reasons == [
        json.loads(block)["reason"]
        for block in readme.blocks("json")
        if json.loads(block).get("status") == "denied"
    ]


def test_the_rich_emails_in_the_readme_have_fields_that_there_are() -> None:
    contract = EmailsContract(extra_fields=frozenset(EXTRA_FIELDS))
    (body,) = bodies("/api/v1/emails")
    assert contract.parse(contract.read(body), now=NOW).content.html
    named = {name.strip("`") for names, *_ in table("of an email") for name in names.split(", ")}
    assert named == {field.data_key or name for name, field in contract.body.fields.items()}


def test_the_webhook_in_the_readme_is_one_that_we_understand() -> None:
    (script,) = (block for block in readme.blocks("sh") if "X-Signature" in block)
    (body,) = re.findall(r"^BODY='(.*)'$", script, re.M)
    assert parse_events(body.replace("'$REQUEST_ID'", "an-id").encode())


def test_every_variable_is_in_the_readme() -> None:
    assert set(VARIABLES) == read_in_source()[0]


def test_every_setting_is_in_the_readme() -> None:
    assert set(SETTINGS) == read_in_source()[1]


@pytest.mark.parametrize("name", VARIABLES)
def test_the_default_of_a_variable_is_the_one_in_the_readme(tmp_path: Path, name: str) -> None:
    if name in ("POSTROOM_CONFIG", "API_WORKERS"):  # a file that need not be there; what suits the machine
        return
    default = "" if VARIABLES[name] == "none" else VARIABLES[name]
    assert loaded(tmp_path, "", **{name: default}) == loaded(tmp_path, "")


def test_the_readme_says_how_many_api_processes_suit_a_machine() -> None:
    few, many = api_processes_for(1), api_processes_for(1000)
    assert VARIABLES["API_WORKERS"] == f"one for every two cores, {few} to {many}"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_default_of_a_setting_is_the_one_in_the_readme(tmp_path: Path, name: str) -> None:
    assert loaded(tmp_path, f"{name} = {SETTINGS[name]}") == loaded(tmp_path, "")


def test_every_field_of_an_email_is_in_the_readme() -> None:
    named = re.findall(r"\w+", " ".join(names for names, _ in FIELDS))
    assert sorted(named) == sorted(SendSchema().fields)


def test_the_lanes_of_the_readme_are_all_there_are() -> None:
    assert list(LANES) == list(Lane)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("key", LANE_KEYS)
def test_the_default_of_a_lane_is_the_one_in_the_readme(tmp_path: Path, lane: str, key: str) -> None:
    assert loaded(tmp_path, f"lanes.{lane}.{key} = {LANES[lane][key]}") == loaded(tmp_path, "")


def test_the_settings_shown_as_an_example_are_valid(tmp_path: Path) -> None:
    (example,) = readme.blocks("toml")
    written: dict[str, Any] = tomllib.loads(example)
    assert loaded(tmp_path, example).provider.max_in_flight == written["provider"]["max_in_flight"]
