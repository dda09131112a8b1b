"""Says what a finished run broke: of the promises in its evidence, every one that does not hold. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from delivery.domain.lanes import OnUnknown
from delivery.domain.states import State
from delivery.domain.unknowns import RESENT_BY_POLICY
from tests.chaos.evidence import Evidence, acceptances, by_request_id, entries, policy, reports_taken
from tests.chaos.faults import FAULTS, fault_of
from tests.chaos.next_steps import has_ended, next_step

Document = dict[str, Any]

_SENT = frozenset({State.DELIVERED, State.BOUNCED, State.COMPLAINED})


class Breach(StrEnum):
    LOST = "accepted, and not there any more"
    DOUBLED = "accepted twice by the provider, though nobody decided so"
    CALLED_AGAIN = "submitted more often than was decided"
    STUCK = "neither ended nor is anything to come"
    HELD = "held, though the evidence could have settled it"
    WRONG_END = "ended otherwise than it went"


@dataclass(frozen=True, slots=True)
class Finding:
    breach: Breach
    what: str


def judge(evidence: Evidence, *, may_end: frozenset[State] = frozenset()) -> list[Finding]:
    """Every breach of a promise. may_end: ends that the run allows besides those of the faults."""
    calls = by_request_id(evidence.submissions)
    found = [*_lost(evidence, calls), *(Finding(Breach.STUCK, line) for line in evidence.unowed)]
    for email in evidence.emails:
        ours = calls.get(email["_id"], [])
        for rule in _RULES:
            found += rule(evidence, email, ours)
        found += _wrong_end(evidence, email, ours, may_end)
    return found


def resent_by_policy(email: Document) -> int:
    """How often the policy for unknown outcomes decided to send it again."""
    if policy(email) is not OnUnknown.RESEND:
        return 0
    return sum(entry.get("detail") == RESENT_BY_POLICY for entry in entries(email, State.RETRYING))


def _lost(evidence: Evidence, calls: Mapping[str, object]) -> Iterator[Finding]:
    there = {email["_id"] for email in evidence.emails}
    for request_id in sorted({*evidence.accepted, *calls} - there):
        yield Finding(Breach.LOST, request_id)


def _doubled(_: Evidence, email: Document, calls: Sequence[Document]) -> Iterator[Finding]:
    times, decided = acceptances(calls), resent_by_policy(email)
    if times > 1 + decided:
        yield _finding(Breach.DOUBLED, email, f"{times} times, resent by policy {decided} times")


def _called_again(_: Evidence, email: Document, calls: Sequence[Document]) -> Iterator[Finding]:
    decided = len(entries(email, State.RETRYING)) + email.get("requeues", 0)
    if len(calls) > 1 + decided:
        yield _finding(Breach.CALLED_AGAIN, email, f"{len(calls)} calls, {decided} decisions to call again")


def _stuck(evidence: Evidence, email: Document, _: Sequence[Document]) -> Iterator[Finding]:
    is_over = has_ended(email) or next_step(email, now=evidence.now, patience=evidence.patience)
    if not is_over:
        yield _finding(Breach.STUCK, email, f"owed {email.get('owed')}, question {email.get('question')}")


def _wrongly_held(evidence: Evidence, email: Document, calls: Sequence[Document]) -> Iterator[Finding]:
    if email["state"] != State.HELD:
        return
    if reports_taken(calls):
        yield _finding(Breach.HELD, email, "its webhook was taken")
    elif evidence.can_ask:
        told = "that it was accepted" if acceptances(calls) else "that it was never seen"
        yield _finding(Breach.HELD, email, f"the status endpoint would have told {told}")


_RULES: tuple[Callable[[Evidence, Document, Sequence[Document]], Iterator[Finding]], ...] = (
    _doubled,
    _called_again,
    _stuck,
    _wrongly_held,
)


def _wrong_end(
    evidence: Evidence, email: Document, calls: Sequence[Document], may_end: frozenset[State]
) -> Iterator[Finding]:
    """Only what has ended can have ended wrongly; what is held is judged by its own rule."""
    state = State(email["state"])
    if not has_ended(email):
        return
    if "DELIVERED" in reports_taken(calls) and state not in _SENT:
        yield _finding(Breach.WRONG_END, email, "reported delivered")
    elif state in _SENT and not acceptances(calls):
        yield _finding(Breach.WRONG_END, email, "never accepted by the provider")
    elif state not in {FAULTS[fault_of(email["content"]["recipient"])].end, State.HELD, *may_end}:
        why = f"{email.get('reason')}, {email.get('last_error')}"
        yield _finding(Breach.WRONG_END, email, why)


def _finding(breach: Breach, email: Document, why: str) -> Finding:
    fault = fault_of(email["content"]["recipient"])
    return Finding(breach, f"{email['_id']} ({fault}, {email['lane']}, {email['state']}): {why}")
