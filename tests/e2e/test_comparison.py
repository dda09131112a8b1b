"""The benchmark beside others measures what it says: small sizes, and no thresholds on time."""

import json
import os
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from bench.comparison import measures, names, plots, report, sessions
from bench.comparison.__main__ import measure_ceilings
from bench.comparison.contenders import PEERS
from bench.comparison.cores import can_set_apart
from bench.comparison.results import Results
from bench.comparison.run import Run
from bench.comparison.sessions import Effort, Sizes
from bench.comparison.surroundings import Servers
from delivery.config import api_processes_for, usable_cores
from stack.services import simulator_part
from tests.harness.api import Api, email
from tests.harness.broker import BrokerServer
from tests.harness.deadline import wait_for_value
from tests.harness.store import StoreServer

SMALL = Effort(
    seconds=2.0, waiting=2000, window=50, critical=3, slow_critical=2, provider_seconds=0.2, settled=0.1
)
SENT_AT_ONCE = 8
WAITING = 20


@pytest.fixture
def servers(broker: BrokerServer, store: StoreServer, tmp_path: Path) -> Servers:
    return Servers(broker, store, tmp_path)


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_peer_delivers_each_email_once_and_applies_the_report(
    broker: BrokerServer, store: StoreServer, tmp_path: Path, name: str
) -> None:
    """The peers are tried with the simulator, which can refuse an email and looks closely at it."""
    servers = Servers(broker, store, tmp_path, provider_part=simulator_part)
    with servers.running(name) as contender:
        refused_once = email(recipient="fault+error.1@example.com")
        sent = Api(contender.api_url).send_many([email(lane="critical"), refused_once] * (SENT_AT_ONCE // 2))
        contender.put(WAITING)
        contender.start_workers()
        total = WAITING + SENT_AT_ONCE
        wait_for_value(contender.applied, total, within=60, what=f"reports that {name} applied")
        contender.provider.assert_accepted_once(sent)
        summary = contender.provider.summary()
        assert (summary["accepted"], summary["duplicates"]) == (total, [])
        assert summary["answers"] == {"accepted": total, "error": SENT_AT_ONCE // 2}


def test_postroom_is_measured_with_as_many_api_processes_as_it_has_by_default(servers: Servers) -> None:
    with servers.running(names.POSTROOM) as contender:
        processes = psutil.Process(contender.api.pid).children()
        assert len(processes) == api_processes_for(usable_cores())


def test_a_turn_has_a_figure_for_each_of_its_measures(servers: Servers, tmp_path: Path) -> None:
    results = Results()
    sessions.work(servers, names.POSTROOM, results, SMALL, with_memory=True)
    figures = {measure.name: results.values(measure)[names.POSTROOM] for measure in results.measures}
    rates = [measures.SUSTAINED, measures.DRAINED]
    if can_set_apart():
        rates += [measures.SUSTAINED_APART, measures.STORE_BUSY]
    latencies = [measures.latency(situation, "p99") for situation in measures.SITUATIONS]
    groups = ("API", "workers", "broker", "store")
    used = [measures.cpu(group) for group in groups]
    for measure in (*rates, *latencies, *used):
        assert [value > 0 for value in figures[measure.name]] == [True], measure
    for others in ("provider", "load"):  # they may use less than a tick of the clock
        assert len(figures[measures.cpu(others).name]) == 1
    written = json.loads(json.dumps(report.as_json(results, about={})))
    assert all(path.stat().st_size for path in plots.draw(Run.of(written), tmp_path / "plots"))


def test_what_is_accepted_has_a_rate_and_a_cost(servers: Servers) -> None:
    results = Results()
    sessions.accept(servers, names.DRAMATIQ, results, seconds=0.3, contenders=[names.DRAMATIQ])
    for connections in measures.CONNECTIONS:
        for measure in (measures.accepts(connections), measures.accept_cpu(connections)):
            assert [value > 0 for value in results.values(measure)[names.DRAMATIQ]] == [True], measure


def test_each_size_has_a_cost(servers: Servers) -> None:
    results = Results()
    sizes = Sizes(sizes=[20], seconds=5, warm=30, least=60)
    sessions.drain_sizes(servers, names.POSTROOM, results, sizes)
    for measure in (measures.cpu_of(20), measures.drained_of(20)):
        assert [value > 0 for value in results.values(measure)[names.POSTROOM]] == [True], measure


def test_every_ceiling_has_a_figure(servers: Servers) -> None:
    results = Results()
    measure_ceilings(servers, results, seconds=0.1)
    shown = Console(file=open(os.devnull, "w"), width=200)  # noqa: SIM115
    shown.print(report.table(results, title="ceilings"))
    assert measures.DRAINED.ceiling in results.ceilings
    assert {measures.constant(connections) for connections in measures.CONNECTIONS} <= set(results.ceilings)
    assert all(rounds[0] > 0 for _, rounds in results.ceilings.values())
