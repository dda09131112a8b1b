"""`make run`: one command starts everything, says so, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.broker import RabbitMQMissing, find_server
from tests.harness.api import Api, email
from tests.harness.broker import VirtualHost, quorum_queues_are_on_disk
from tests.harness.deadline import wait_until
from tests.harness.programs import skip_or_fail
from tests.harness.provider import Provider
from tests.harness.stack_run import StackRun
from tests.harness.store import StoreDatabase
from tests.harness.system import System

_IMPATIENT = """
[lanes.critical]
retry = ["1s", "1s", "5s", "5s"]
[lanes.transactional]
retry = ["1s", "5s", "5s"]
[lanes.standard]
retry = ["5s", "5s"]
[lanes.bulk]
retry = ["5s", "5s"]
"""


@pytest.fixture(scope="module", autouse=True)
def _rabbitmq() -> None:
    try:
        find_server()
    except RabbitMQMissing as missing:
        skip_or_fail(str(missing))


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[Callable[..., StackRun]]:
    """Starts a run in the test's folder; several in turn find the data of the one before."""
    runs: list[StackRun] = []

    def start(**options: object) -> StackRun:
        runs.append(StackRun(tmp_path / "postroom", **options))  # type: ignore[arg-type]  # passed through
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackRun]:
    """`make run` for the tests that only look at it."""
    folder = tmp_path_factory.mktemp("make-run")
    configuration = folder / "postroom.toml"
    configuration.write_text(_IMPATIENT, encoding="utf-8")
    run = StackRun(folder / "postroom", env={"POSTROOM_CONFIG": str(configuration)}, through_make=True)
    try:
        run.wait_ready()
        yield run
    finally:
        run.close()


def test_the_last_line_says_where_postroom_is_ready(running: StackRun) -> None:
    address = running.wait_ready()

    assert running.output().splitlines()[-1] == f"postroom is ready: {address}"
    assert Api(address).request("GET", "/readyz").json()["status"] == "ready"


def test_the_curl_line_works_when_pasted(running: StackRun) -> None:
    (line,) = re.findall(r"^\s+(curl .*)$", running.output(), re.MULTILINE)

    answer = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True, timeout=30)

    accepted = json.loads(answer.stdout)
    assert accepted["status"] == "accepted"
    Api(running.wait_ready()).wait_for_detail(accepted["request_id"], "delivered")


def test_what_the_provider_of_a_plain_run_cant_carry_is_denied_by_name(running: StackRun) -> None:
    denied = Api(running.wait_ready()).post(email(subject="Hi"))

    assert (denied.status_code, denied.json()["reason"]) == (
        400,
        "subject field is not supported by the provider",
    )


def test_the_login_that_is_printed_opens_the_management_ui(running: StackRun) -> None:
    (url,) = re.findall(r"RabbitMQ UI\s+(\S+)", running.output())
    ((user, password),) = re.findall(r"login\s+(\S+) / (\S+)", running.output())

    overview = Api(url).request("GET", "/api/overview", auth=(user, password))

    assert overview.status_code == 200


def test_a_second_run_in_the_same_folder_is_refused(running: StackRun) -> None:
    second = StackRun(running.folder)

    assert second.process.wait(60) != 0
    assert f"already runs in {running.owner}: {running.wait_ready()}" in second.output()
    assert running.process.poll() is None


def test_the_demo_follows_every_email_to_its_end(running: StackRun) -> None:
    demo = subprocess.run(
        ["make", "--no-print-directory", "demo", f"ARGS=--folder {running.folder} --emails 60 --within 120"],
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "transactional" in demo.stdout


def test_secrets_are_readable_by_their_owner_only(running: StackRun) -> None:
    assert running.folder.stat().st_mode & 0o077 == 0
    assert (running.folder / "credentials.json").stat().st_mode & 0o077 == 0


def test_a_stop_leaves_no_process_behind_and_the_next_run_finds_the_data(
    start_run: Callable[..., StackRun],
) -> None:
    first = start_run()
    api = Api(first.wait_ready())
    request_id = api.send()
    api.wait_for_detail(request_id, "delivered")

    assert first.terminate(within=20) == 0
    assert first.processes() == []

    second = start_run()
    assert Api(second.wait_ready()).status(request_id)["detail"] == "delivered"


def test_a_killed_run_takes_its_parts_with_it_and_the_next_one_starts(
    start_run: Callable[..., StackRun],
) -> None:
    first = start_run()
    first.wait_ready()
    broker = first.folder / "rabbitmq"
    wait_until(lambda: quorum_queues_are_on_disk(broker), within=20, what="the queues are on disk")

    first.process.kill()
    wait_until(lambda: not first.processes(), within=30, what="every part is gone")

    second = start_run()
    Api(second.wait_ready()).send()


def test_an_extended_run_sends_rich_emails_and_make_passes_a_stop_on(
    tmp_path: Path, vhost: VirtualHost, database: StoreDatabase
) -> None:
    run = StackRun(
        tmp_path / "postroom",
        env={"AMQP_URL": vhost.url, "MONGODB_URI": database.uri},
        options=["--extended"],
        through_make=True,
    )
    rich = {
        "from": "shop@example.com",
        "to": ["ann@example.com", "ben@example.com"],
        "subject": "Hi",
        "html": "Hi",
    }
    try:
        api = Api(run.wait_ready())
        accepted = api.request("POST", "/api/v1/emails", json=rich)
        api.wait_for_detail(accepted.json()["emailId"], "delivered")
        run.terminate(within=20)
        assert run.processes() == []
    finally:
        run.close()


def test_a_part_that_dies_names_itself_and_takes_the_rest_down(
    start_run: Callable[..., StackRun], vhost: VirtualHost, database: StoreDatabase
) -> None:
    run = start_run(env={"AMQP_URL": vhost.url, "MONGODB_URI": database.uri})
    run.wait_ready()
    (consumers,) = [pid for pid in run.processes() if _runs_module(pid, "consumers")]

    os.kill(consumers, signal.SIGKILL)

    assert run.process.wait(30) == 1
    assert "consumers 1 was killed by SIGKILL" in run.output()
    assert run.processes() == []


def test_a_part_that_can_not_start_shows_the_end_of_its_log(
    start_run: Callable[..., StackRun], tmp_path: Path, vhost: VirtualHost, database: StoreDatabase
) -> None:
    configuration = tmp_path / "postroom.toml"
    configuration.write_text("nonsense = [", encoding="utf-8")
    env = {"AMQP_URL": vhost.url, "MONGODB_URI": database.uri, "POSTROOM_CONFIG": str(configuration)}

    run = start_run(env=env)

    assert run.process.wait(60) == 1
    assert "exited with status" in run.output()
    assert str(configuration) in run.output().split("end of")[1]


def test_what_is_given_is_used_and_not_started(
    start_run: Callable[..., StackRun],
    start_system: Callable[..., System],
    vhost: VirtualHost,
    database: StoreDatabase,
) -> None:
    provider: Provider = start_system(ready=False).provider
    run = start_run(
        env={
            "AMQP_URL": vhost.url,
            "MONGODB_URI": database.uri,
            "PROVIDER_URL": provider.url,
            "WEBHOOK_SECRETS": "one,two",
        }
    )

    api = Api(run.wait_ready())
    request_id = api.send()

    api.wait_for_status(request_id, "processing")
    wait_until(lambda: provider.submissions_of(request_id), within=30, what="the given provider has it")
    commands = " ".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in run.processes())
    assert not re.search(r"beam|epmd|secantusd|simulator", commands)
    assert vhost.server.password not in run.output()


def test_a_port_that_is_taken_gives_way_to_the_next_free_one(
    start_run: Callable[..., StackRun], vhost: VirtualHost, database: StoreDatabase
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        run = start_run(
            env={"AMQP_URL": vhost.url, "MONGODB_URI": database.uri}, options=["--api-port", str(port)]
        )

        assert int(run.wait_ready().rpartition(":")[2]) > port


def test_an_api_port_that_is_given_and_taken_is_an_error(start_run: Callable[..., StackRun]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        run = start_run(env={"API_PORT": str(port)})

        assert run.process.wait(60) == 1
        assert f"API_PORT is {port}, but something listens there already" in run.output()


def _runs_module(pid: int, module: str) -> bool:
    return ["-m", module] == Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:3]
