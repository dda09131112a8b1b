"""The measurements, each of one running contender."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.comparison.backlog import CONTENT
from bench.comparison.contenders import Contender
from bench.comparison.processes import Groups, cpu_seconds, paused
from bench.figures import percentile
from tests.harness.deadline import DeadlineMissed, wait_until
from tests.harness.provider import Provider

LOAD = "load"
"""The group of the process that makes the load: no part of a contender either."""

NO_WEBHOOKS = {"rates": {"webhook-lost": 1.0}}
LONGEST_RECOVERY = 120.0
_END_SECONDS = 120.0
_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds."""

    samples: tuple[float, ...]

    @property
    def p50_ms(self) -> float:
        return percentile(self.samples, 0.5) * 1000

    @property
    def p99_ms(self) -> float:
        return percentile(self.samples, 0.99) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepting:
    """rate: emails per second. emails: how many there were. failures: answers other than 202."""

    rate: float
    emails: int
    latencies: Latencies
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Emails per second, and the CPU-seconds that 1,000 of them took of each group of processes."""

    rate: float
    cpu: dict[str, float]


def accepting(url: str, *, connections: int, seconds: float) -> Accepting:
    """POST /send from so many connections, each sending its next when it has its answer."""
    command = [
        *(sys.executable, "-m", "bench.load", f"--url={url}"),
        *(f"--connections={connections}", f"--seconds={seconds}"),
    ]
    with tempfile.TemporaryFile("w+") as output:  # through a pipe, a hundred kilobytes were cut off once
        subprocess.run(command, stdout=output, check=True)
        output.seek(0)
        run = json.load(output)
    return Accepting(
        rate=run["emails"] / run["took"],
        emails=run["emails"],
        latencies=Latencies(samples=tuple(run["latencies"])),
        failures=run["failures"],
    )


def sustained(contender: Contender, *, groups: Groups, connections: int, window: int, seconds: float) -> Work:
    """Accepted, submitted and reported at the highest rate that keeps the backlog flat.

    window: how many emails may be anywhere between the caller and the applied webhook. Returns when all have
    their report applied.
    """
    contender.provider.set_faults(webhook_delay=0)
    before = contender.applied()
    command = [
        *(sys.executable, "-m", "bench.comparison.steady_load"),
        *(f"--api-url={contender.api_url}", f"--control-url={contender.control_url}"),
        *(f"--connections={connections}", f"--window={window}"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        if load.stdout.readline() != "flat\n":
            raise RuntimeError(f"the load on {contender.name} broke off")
        meter = _Meter({**groups, LOAD: [load.pid]}, contender.applied)
        time.sleep(seconds)
        work = meter.read()
        output, _ = load.communicate()
    sent = json.loads(output)
    if sent["failures"]:
        raise RuntimeError(f"{contender.name} refused {sent['failures']} of the steady load")
    wait_until(
        lambda: contender.applied() >= before + sent["accepted"],
        within=_END_SECONDS,
        what=f"every report of {contender.name} is applied",
    )
    contender.provider.heal()
    return work


def drain(contender: Contender, *, groups: Groups, seconds: float) -> Work:
    """Emails submitted per second out of a backlog, for so long or until nothing waits.

    The workers must have begun already.
    """
    end = contender.provider.received() + contender.waiting()
    meter = _Meter(groups, contender.provider.received)
    _wait_for(contender.provider, end, seconds=seconds)
    return meter.read()


def drain_again_and_again(
    contender: Contender, *, count: int, times: int, groups: Groups, seconds: float
) -> Work:
    """The mean of small backlogs. The workers run already, and are paused while each is put there."""
    works = []
    for _ in range(times):
        with paused(contender.pids()["workers"]):
            end = contender.provider.received() + count
            contender.put(count)
            meter = _Meter(groups, contender.provider.received)
        _wait_for(contender.provider, end, seconds=seconds)
        works.append(meter.read())
    return Work(
        rate=statistics.harmonic_mean([work.rate for work in works]),
        cpu={name: statistics.mean(work.cpu[name] for work in works) for name in works[0].cpu},
    )


def _wait_for(provider: Provider, received: int, *, seconds: float) -> None:
    """Until it has received so many in all, or the time is over."""
    began = time.monotonic()
    first = last = provider.received()
    while last < received and (took := time.monotonic() - began) < seconds:
        time.sleep(_pause(left=received - last, rate=(last - first) / took, seconds=seconds - took))
        last = provider.received()


def _pause(*, left: int, rate: float, seconds: float) -> float:
    """Until the next look at a drain: half of what it may still take, since looks cost CPU time, too."""
    if rate <= 0:
        return _LOOK_SECONDS
    return min(max(left / rate / 2, _LOOK_SECONDS), _LONGEST_LOOK_SECONDS, seconds)


@contextmanager
def working_off(contender: Contender, *, ramp: int) -> Iterator[None]:
    """Its workers run, on what waits; entered when ``ramp`` emails of it have been submitted.

    No webhooks: they are measured elsewhere.
    """
    contender.provider.set_faults(**NO_WEBHOOKS)
    begun = contender.provider.received() + ramp
    contender.start_workers()
    wait_until(
        lambda: contender.provider.received() >= begun,
        within=_END_SECONDS,
        what=f"{contender.name} works off its backlog",
    )
    yield
    contender.stop_workers()
    contender.provider.heal()


def critical_latency(contender: Contender, *, count: int, interval: float) -> Latencies:
    """From just before POST /send to the arrival at the provider, of critical emails sent now and then."""
    index = contender.provider.received()
    sent_at = _send_now_and_then(contender.api_url, count=count, interval=interval)
    arrived: dict[str, float] = {}

    def all_arrived() -> bool:
        nonlocal index
        page = contender.provider.submissions(since=index)
        index += len(page)
        for submission in page:
            if submission["request_id"] in sent_at:
                arrived.setdefault(submission["request_id"], submission["received_at"])
        return len(arrived) == len(sent_at)

    wait_until(all_arrived, within=_END_SECONDS, what=f"{contender.name} submits {count} critical emails")
    return Latencies(samples=tuple(arrived[email_id] - at for email_id, at in sent_at.items()))


def recovery(contender: Contender, *, emails: int) -> tuple[float, float]:
    """Seconds from now until the next email is submitted, and until so many are; at most LONGEST_RECOVERY."""
    began, before = time.perf_counter(), contender.provider.received()

    def seconds_until(more: int) -> float:
        with suppress(DeadlineMissed):
            wait_until(
                lambda: contender.provider.received() >= before + more,
                within=LONGEST_RECOVERY,
                what=f"{contender.name} submits {more} more after the broker came back",
            )
        return min(time.perf_counter() - began, LONGEST_RECOVERY)

    return seconds_until(1), seconds_until(emails)


def _send_now_and_then(url: str, *, count: int, interval: float) -> dict[str, float]:
    """When each was sent, in epoch seconds, by its id."""
    target = urlsplit(url)
    connection = HTTPConnection(target.hostname or "", target.port, timeout=30)
    body = json.dumps({**CONTENT, "lane": "critical"})
    sent_at: dict[str, float] = {}
    for _ in range(count):
        began = time.time()
        connection.request("POST", "/send", body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            sent_at[json.load(response)["request_id"]] = began
        time.sleep(max(0.0, began + interval - time.time()))
    connection.close()
    return sent_at


class _Meter:
    """What happened, and which CPU time was used, from its making to its reading."""

    def __init__(self, groups: Groups, count: Callable[[], int]) -> None:
        self._groups = groups
        self._count = count
        self._counted, self._cpu, self._at = count(), cpu_seconds(groups), time.perf_counter()

    def read(self) -> Work:
        done = self._count() - self._counted
        took = time.perf_counter() - self._at
        now = cpu_seconds(self._groups)
        if done <= 0:
            raise RuntimeError("nothing was done while it was measured")
        used = {name: (now[name] - self._cpu[name]) * 1000 / done for name in now}
        return Work(rate=done / took, cpu=used)
