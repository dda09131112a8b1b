"""Drives one pass to its end and gathers the evidence."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from delivery.domain.states import State
from tests.chaos.evidence import Evidence
from tests.chaos.next_steps import STEPS
from tests.chaos.passes import Pass, Scene
from tests.harness.api import Body
from tests.harness.deadline import DeadlineMissed, wait_until
from tests.harness.load import Load
from tests.harness.owed import assert_nothing_waits_unowed, what_waits_unowed
from topology import names

_STOP_SECONDS = 30.0

_CALLERS = 4
"""Few, so that accepting leaves the consumers their part of two cores: load is not what is tried here."""


def run(trial: Pass, scene: Scene, bodies: Sequence[Body], *, within: float) -> Evidence:
    """Send all, make the trouble, wait until all has ended (seconds, at the most), and look at what is left.

    What has not ended by then is for the oracle to judge.
    """
    accepted: list[str] = []
    other_answers: Counter[str] = Counter()
    parts = [*trial.troubles, None]
    for trouble, share in zip(parts, _shares(bodies, len(parts)), strict=True):
        load = Load(scene.system, share, connections=_CALLERS, within=within)
        if trouble is not None:
            load.wait_for(len(share) // 2)
            trouble(scene, load)
        load.finish()
        accepted += load.accepted
        other_answers += load.other
    _wait_for_the_end(trial, scene, within=within)
    if trial.revives:
        scene.vhost.move_messages(names.DEAD_QUEUE, names.REQUEUE_QUEUE)
        _wait_for_the_end(trial, scene, within=within)
    return _gather(trial, scene, accepted, other_answers)


def _shares(bodies: Sequence[Body], count: int) -> Iterator[Sequence[Body]]:
    for number in range(count):
        yield bodies[number::count]


def _wait_for_the_end(trial: Pass, scene: Scene, *, within: float) -> None:
    """Until no email is on its way, no call and no webhook to come, and every report applied.

    An email that counts as unreported is on its way as long as the provider can be asked about it.
    """
    on_its_way = [state.value for state in STEPS]
    if not trial.can_ask:
        on_its_way.remove(State.SUBMITTED.value)
    awaited = {"state": State.SUBMITTED.value, "unreported": {"$ne": True}}
    emails, events = scene.database["emails"], scene.database["provider_events"]

    def all_is_over() -> bool:
        if emails.find_one({"state": {"$in": on_its_way}}, {"_id": 1}):
            return False
        if not trial.can_ask and emails.find_one(awaited, {"_id": 1}):
            return False
        return not events.find_one({"pending": True}, {"_id": 1}) and scene.system.provider.is_idle()

    with suppress(DeadlineMissed):
        wait_until(all_is_over, within=within, what="all is over")


def _gather(trial: Pass, scene: Scene, accepted: Sequence[str], other_answers: Counter[str]) -> Evidence:
    """Queues are read while no consumer runs, or what is in their hands would seem to be nowhere."""
    now = datetime.now(UTC)
    for consumers in scene.system.consumers:
        consumers.stop(_STOP_SECONDS)
    with suppress(DeadlineMissed):
        assert_nothing_waits_unowed(scene.database, scene.vhost)
    return Evidence(
        accepted=frozenset(accepted),
        emails=list(scene.database["emails"].find({})),
        submissions=scene.system.provider.submissions(),
        other_answers=other_answers,
        unowed=what_waits_unowed(scene.database, scene.vhost),
        can_ask=trial.can_ask,
        now=now,
    )
