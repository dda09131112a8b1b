"""The data folder of a stack."""

import os
from pathlib import Path

import pytest

from stack.credentials import load_credentials
from stack.home import AlreadyRunning, Home, NotRunning, RunningStack


def running_here() -> RunningStack:
    return RunningStack(
        pid=os.getpid(),
        api_url="http://127.0.0.1:8080",
        mongodb_uri="mongodb://127.0.0.1:27017/postroom",
        amqp_url="amqp://postroom:secret@127.0.0.1:5672/postroom",
        provider_control_url=None,
    )


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = load_credentials(tmp_path)

    assert load_credentials(tmp_path) == first
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_secrets_of_two_folders_differ(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    assert load_credentials(tmp_path / "one") != load_credentials(tmp_path / "two")


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path / "postroom")

    with (
        home.locked(),
        home.announced(running_here()),
        pytest.raises(AlreadyRunning, match=r"already runs in .*: http://127\.0\.0\.1:8080"),
        Home(tmp_path / "postroom").locked(),
    ):
        pass

    with home.locked():
        pass


def test_a_running_stack_can_be_found_until_it_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)

    with home.announced(running_here()):
        assert Home(tmp_path).running_stack() == running_here()

    with pytest.raises(NotRunning, match="make run"):
        home.running_stack()


def test_logs_of_the_last_run_are_kept_apart(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.start_new_logs()
    (home.logs / "api.log").write_text("old")

    home.start_new_logs()

    assert not (home.logs / "api.log").exists()
    assert (home.logs / "api.log.1").read_text() == "old"
