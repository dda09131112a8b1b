from pathlib import Path

import pytest

from cli.__main__ import main

NOWHERE = {"MONGODB_URI": "mongodb://127.0.0.1:1/x", "AMQP_URL": "amqp://x:y@127.0.0.1:1/"}


@pytest.mark.parametrize(
    "command",
    [
        ["dead", "requeue"],
        ["held", "discard", "--because", "sent by hand"],
        ["dead", "discard", "--all", "--because", " "],
        ["dead", "list", "--since", "yesterday"],
        ["emails", "show", "no uuid"],
        ["tenants", "create", "Not A Name"],
        ["keys", "list", "\udcff"],
    ],
    ids=ascii,
)
def test_what_is_refused_says_why_and_exits_with_1(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command, NOWHERE) == 1
    assert capsys.readouterr().err.startswith("postroom: ")


@pytest.mark.parametrize(
    "command", [[], ["dead"], ["dead", "requeue", "--rate", "0"], ["emails", "search", "--lane", "slow"]]
)
def test_wrong_usage_exits_with_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(command, NOWHERE)
    assert exit_.value.code == 2
    assert "usage: postroom" in capsys.readouterr().err


def test_where_no_stack_runs_its_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["stack", "status"], NOWHERE) == 1
    assert "no stack runs in this folder" in capsys.readouterr().err


def test_the_broker_that_can_not_be_asked_exits_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topology", "check"], NOWHERE) == 4
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["requeue", "discard"])
def test_help_says_how_to_choose(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["dead", verb, "--help"], {})
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--tenant", "--reason", "--since", "--dry-run", "--all"))
