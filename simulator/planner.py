"""Decides what becomes of a submission: its recipient's tags first, then the rates of the fault settings."""

from collections import Counter
from collections.abc import Mapping
from random import Random

from simulator.faults import Faults, odds
from simulator.plans import Plan
from simulator.tag_parser import Tag
from simulator.tags import TAGS, Argument, Axis


class Planner:
    """Follows one set of fault settings at a time; remembers how often an email met a tag that wears off."""

    def __init__(self, *, faults: Faults, random: Random) -> None:
        self._random = random
        self._meetings: Counter[tuple[str, str]] = Counter()
        self._faults = faults
        self._odds: Mapping[Axis, tuple[tuple[Tag, float], ...]] = odds(faults)

    def follow(self, faults: Faults) -> None:
        self._faults = faults
        self._odds = odds(faults)

    def forget(self) -> None:
        self._meetings.clear()

    def plan(self, *, request_id: str, tags: tuple[Tag, ...]) -> Plan:
        """The plan for one submission. On each axis a tag of its own outdoes the rates."""
        plan = Plan(
            latency=self._faults.latency.draw(self._random),
            webhook_delay=self._faults.webhook_delay.draw(self._random),
        )
        if not tags and not self._odds:
            return plan
        for tag in (*tags, *self._drawn(without={tag.axis for tag in tags})):
            if tag.hits(submission=self._meet(request_id, tag)):
                plan = tag.apply(plan)
        return plan

    def _drawn(self, *, without: set[Axis]) -> list[Tag]:
        drawn = (self._draw(candidates) for axis, candidates in self._odds.items() if axis not in without)
        return [tag for tag in drawn if tag is not None]

    def _draw(self, candidates: tuple[tuple[Tag, float], ...]) -> Tag | None:
        left = self._random.random()
        for tag, rate in candidates:
            left -= rate
            if left < 0:
                return tag
        return None

    def _meet(self, request_id: str, tag: Tag) -> int:
        """Which of the email's submissions this is, of those that met the tag; counted only if it matters."""
        if tag.argument is None or TAGS[tag.name].argument is not Argument.FIRST:
            return 1
        self._meetings[request_id, tag.name] += 1
        return self._meetings[request_id, tag.name]
