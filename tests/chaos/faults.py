"""What the provider does wrong, one row each, and the emails that ask for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from delivery.domain.lanes import Lane, OnUnknown
from delivery.domain.states import State
from tests.chaos.times import HOLD_DEADLINE, LATE_ACCEPT, RESEND_DEADLINE, SLOW, Times
from tests.harness.api import Body, email

_DOMAIN = ".example.com"

_LATENESSES = 7
"""How many different ones there are; prime to the number of kinds, so that each kind meets each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """tags: see simulator/README.md; `{slow}` and `{late}` become seconds. end: where its emails end, as long
    as the provider can be asked about them. share: how many emails, as a multiple of the others'.
    """

    name: str
    tags: str = ""
    end: State = State.DELIVERED
    share: int = 1


MATRIX = (
    Fault(name="hang", tags="hang.1"),
    Fault(name="504-then-accept", tags="504-then-accept.{late}"),
    Fault(name="504-never", tags="504-never.1"),
    Fault(name="reset-after-request", tags="reset-after"),
    Fault(name="reset-before", tags="reset-before.1"),
    Fault(name="slow-12s", tags="slow.{slow}"),
    Fault(name="webhook-lost", tags="webhook-lost"),
    Fault(name="webhook-duplicated", tags="webhook-dup.3"),
    Fault(name="webhooks-reversed", tags="webhook-reversed"),
)

BESIDES = (
    Fault(name="none", share=4),
    Fault(name="refused", tags="reject", end=State.REJECTED),
)
"""Mail as it is on most days, so that the provider is bad but not broken."""

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*MATRIX, *BESIDES)}


@dataclass(frozen=True, slots=True)
class Kind:
    """What else tells emails apart: their lane, and what they say themselves about unknown outcomes."""

    lane: Lane
    on_unknown: OnUnknown | None = None


KINDS = (
    Kind(Lane.TRANSACTIONAL),
    Kind(Lane.CRITICAL),
    Kind(Lane.STANDARD),
    Kind(Lane.BULK),
    Kind(Lane.CRITICAL, OnUnknown.HOLD),
    Kind(Lane.TRANSACTIONAL, OnUnknown.RESEND),
)


def bodies(count: int, *, times: Times, seed: int) -> list[Body]:
    """So many emails for each fault of the matrix, and those besides, in every lane, well mixed."""
    mixed = [body for fault in FAULTS.values() for body in _bodies(fault, count, times)]
    Random(seed).shuffle(mixed)
    return mixed


def fault_of(recipient: str) -> str:
    """The name of the fault that an email asked for."""
    return recipient.rpartition("@")[2].removesuffix(_DOMAIN)


def _bodies(fault: Fault, count: int, times: Times) -> Iterator[Body]:
    for number in range(count * fault.share):
        kind = KINDS[number % len(KINDS)]
        yield email(
            recipient=_recipient(fault, number, times),
            lane=kind.lane.value,
            priority=number % 4,
            **_wish(kind.on_unknown, times),
        )


def _recipient(fault: Fault, number: int, times: Times) -> str:
    late = times.seconds(LATE_ACCEPT * (_LATENESSES - number % _LATENESSES) / _LATENESSES)
    tags = fault.tags.format(slow=times.seconds(SLOW), late=late)
    return f"{f'fault+{tags}' if tags else 'ann'}@{fault.name}{_DOMAIN}"


def _wish(on_unknown: OnUnknown | None, times: Times) -> dict[str, object]:
    """With the deadline of the lanes that do so by themselves."""
    match on_unknown:
        case OnUnknown.HOLD:
            return {"on_unknown": "hold", "unknown_deadline": times.whole_seconds(HOLD_DEADLINE)}
        case OnUnknown.RESEND:
            return {"on_unknown": "resend", "unknown_deadline": times.whole_seconds(RESEND_DEADLINE)}
        case None:
            return {}
