"""The fault matrix: every fault at once, in every pass. `make chaos` runs it in full, `make test` a slice."""

from collections.abc import Callable

import pytest

from tests.chaos.conftest import REPORT
from tests.chaos.faults import MATRIX, bodies
from tests.chaos.oracle import judge
from tests.chaos.passes import APART, KILL_ALL, KILLS, Pass, Scene
from tests.chaos.report import table
from tests.chaos.times import Times
from tests.chaos.trial import run

EMAILS_PER_FAULT = 200
A_FEW = 5

FULL = Times(factor=10, report_overdue=10)
"""Nothing else waits for half an hour's worth of a missing report."""

QUICK = Times(factor=15, offsets=(1, 3, 5), report_overdue=3)
"""Asks earlier about reports, and again as soon as "never seen" counts."""

SetScene = Callable[[Times], Scene]
Record = Callable[[str, object], None]


@pytest.mark.parametrize("trial", [KILL_ALL], ids=lambda trial: trial.name)
def test_a_slice_of_the_matrix(trial: Pass, set_scene: SetScene, record_property: Record) -> None:
    _keeps_every_promise(trial, set_scene(QUICK), A_FEW, record_property, within=180)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("trial", [*KILLS, *APART], ids=lambda trial: trial.name)
def test_the_matrix(trial: Pass, set_scene: SetScene, record_property: Record) -> None:
    _keeps_every_promise(trial, set_scene(FULL), EMAILS_PER_FAULT, record_property, within=600)


def _keeps_every_promise(
    trial: Pass, scene: Scene, count: int, record_property: Record, *, within: float
) -> None:
    emails = bodies(count, times=scene.times, seed=len(MATRIX))
    evidence = run(trial, scene, emails, within=within)
    findings = judge(evidence, may_end=trial.may_end)
    report = table(trial.name, evidence, findings)
    print(report)
    record_property(REPORT, report)
    assert findings == []
