"""docker-compose.yml as an operator runs it: `make test-compose`. Needs a Docker engine and the images."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.management import Management
from stack.plan import OPERATOR_USER, SERVICE_USER, VHOST
from tests.harness import readme
from tests.harness.api import Api, email
from tests.harness.compose import ComposeProject, filled_in_example, run_compose, service_of, why_not
from tests.harness.moving import move_messages

# The first run builds the image, where the engine may have to fetch its bases.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

SETTINGS = """
[lanes.critical]
retry = ["1s"]

[lanes.standard]
retry = ["15s"]
"""


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips without an engine, unless containers are insisted on."""
    reason = why_not()
    if reason is not None and os.environ.get("POSTROOM_TEST_CONTAINERS") == "1":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def project(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProject]:
    """The running project, taken down with its volumes at the end."""
    folder = tmp_path_factory.mktemp("compose")
    settings = folder / "postroom.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    folder.chmod(0o755)
    settings.chmod(0o644)
    project = ComposeProject(folder, settings={**filled_in_example(), "POSTROOM_CONFIG": str(settings)})
    try:
        project.up()
        yield project
    finally:
        print(project.logs())
        project.down(volumes=True)


@pytest.fixture
def api(project: ComposeProject) -> Iterator[Api]:
    api = Api(project.api_url, key=project.settings["API_KEYS"])
    yield api
    api.close()


@pytest.fixture
def operator(project: ComposeProject) -> Management:
    return Management(project.ui_url, OPERATOR_USER, project.settings["RABBITMQ_OPERATOR_PASSWORD"])


def accepted(project: ComposeProject) -> list[str]:
    """What the provider accepted, by its own log; an id stands there as often as it was accepted."""
    log = project.get_json("http://simulator:8081/_log?limit=10000")
    return [entry["request_id"] for entry in log["submissions"] if entry["accepted_at"] is not None]


def test_emails_sent_over_http_end_sent(project: ComposeProject, api: Api) -> None:
    bodies = [email(lane=lane) for lane in ("critical", "transactional", "standard", "bulk")] * 10
    request_ids = api.send_many(bodies, connections=4)
    api.wait_for_all(request_ids, "sent", within=120)
    assert sorted(set(request_ids) & set(accepted(project))) == sorted(request_ids)
    assert len(accepted(project)) == len(set(accepted(project)))


def test_the_api_demands_a_key(project: ComposeProject) -> None:
    assert Api(project.api_url).post(email()).status_code == 401


def test_a_service_publishes_with_the_program_of_the_readme(project: ComposeProject, api: Api) -> None:
    login = f"{SERVICE_USER}:{project.settings['RABBITMQ_SERVICE_PASSWORD']}"
    url = f"amqp://{login}@rabbitmq:5672/{VHOST}"
    reply = json.loads(project.python("api", readme.publisher(), env={"AMQP_URL": url}))
    assert reply["status"] == "accepted"
    api.wait_for_status(reply["request_id"], "sent", within=60)


def test_a_dead_letter_that_an_operator_moves_is_sent(
    project: ComposeProject, api: Api, operator: Management
) -> None:
    request_id = api.send(lane="critical", recipient="fault+error.2@example.com")
    api.wait_for_detail(request_id, "dead", within=60)
    move_messages(operator, vhost=VHOST, source="email.dead", destination="email.requeue")
    api.wait_for_status(request_id, "sent", within=60)
    assert accepted(project).count(request_id) == 1


def test_nothing_accepted_is_lost_when_the_broker_restarts(project: ComposeProject, api: Api) -> None:
    before = [api.send(lane="standard", recipient="fault+error.1@example.com") for _ in range(3)]
    for request_id in before:
        api.wait_for_detail(request_id, "retrying", within=60)
    project.stop("rabbitmq")
    meanwhile = [api.send() for _ in range(10)]
    project.start("rabbitmq")
    api.wait_for_all([*before, *meanwhile], "sent", within=180)
    assert len(accepted(project)) == len(set(accepted(project)))


def test_data_survives_taking_the_containers_away(project: ComposeProject, api: Api) -> None:
    request_id = api.send()
    api.wait_for_status(request_id, "sent", within=60)
    project.down(volumes=False)
    project.up()
    assert api.status(request_id)["status"] == "sent"


def test_only_the_api_and_the_management_ui_are_published_and_only_on_loopback(
    project: ComposeProject,
) -> None:
    published = {
        (service_of(container), port, binding["HostIp"])
        for container in project.containers()
        for port, bindings in (container["NetworkSettings"]["Ports"] or {}).items()
        for binding in bindings or []
    }
    assert published == {("api", "8080/tcp", "127.0.0.1"), ("rabbitmq", "15672/tcp", "127.0.0.1")}


@pytest.mark.parametrize("service", ["api", "consumers", "simulator"])
def test_our_processes_are_not_root(project: ComposeProject, service: str) -> None:
    assert project.python(service, "import os; print(os.getuid())").strip() == "10001"


def test_the_image_has_neither_the_embedded_store_nor_the_tests(project: ComposeProject) -> None:
    program = "from importlib.util import find_spec; print(*map(find_spec, ('secantus', 'pytest', 'tests')))"
    assert project.python("api", program).split() == ["None", "None", "None"]


@pytest.mark.parametrize("service", ["consumers", "api"])
def test_a_stop_is_clean(project: ComposeProject, service: str) -> None:
    project.stop(service)
    assert {container["State"]["ExitCode"] for container in project.containers(service)} == {0}
    project.start(service)


def test_without_its_secrets_nothing_starts_and_the_reason_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "env"  # in place of .env, whatever the developer has there
    empty.touch()
    done = run_compose(["--env-file", str(empty), "config"], check=False)
    assert done.returncode != 0
    assert "copy .env.example to .env and fill it in" in done.stderr
