"""The report of one pass, as a table: what became of the emails, fault by fault."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

from delivery.domain.states import State
from tests.chaos.evidence import Evidence, acceptances, by_request_id, entries
from tests.chaos.faults import FAULTS, fault_of
from tests.chaos.next_steps import has_ended, next_step
from tests.chaos.oracle import Finding, resent_by_policy

Document = dict[str, Any]

_COLUMNS = (State.DELIVERED, State.REJECTED, State.HELD, State.DEAD)
_SHOWN_FINDINGS = 20


@dataclass(slots=True)
class Row:
    """What became of the emails of one fault.

    accepted: by us, as the callers were told. unanswered: those that are there though their caller heard
    nothing, or an error, and sent another. unconfirmed: at some time; cut_off: those of them whose worker was
    killed or cut off during the call. twice: accepted by the provider more than once, with how often, and how
    often the policy resent it. waiting: by state and what comes next.
    """

    accepted: int = 0
    unanswered: int = 0
    calls: int = 0
    unconfirmed: int = 0
    cut_off: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    waiting: Counter[str] = field(default_factory=Counter)


def rows(evidence: Evidence) -> dict[str, Row]:
    """By the faults' names, in the order of the matrix."""
    found = {name: Row() for name in FAULTS}
    calls = by_request_id(evidence.submissions)
    for email in evidence.emails:
        ours = calls.get(email["_id"], [])
        row = found[fault_of(email["content"]["recipient"])]
        if email["_id"] in evidence.accepted:
            row.accepted += 1
        else:
            row.unanswered += 1
        unconfirmed = entries(email, State.UNCONFIRMED)
        row.unconfirmed += bool(unconfirmed)
        row.cut_off += any(entry.get("detail") == "lease ran out" for entry in unconfirmed)
        row.calls += len(ours)
        if acceptances(ours) > 1:
            row.twice.append(f"{email['_id']} x{acceptances(ours)} ({resent_by_policy(email)})")
        _count(email, row, evidence)
    return found


def table(name: str, evidence: Evidence, findings: Sequence[Finding]) -> str:
    return "\n".join(_lines(name, evidence, findings))


def _count(email: Document, row: Row, evidence: Evidence) -> None:
    state = State(email["state"])
    if has_ended(email):
        row.ends["unreported" if state is State.SUBMITTED else state.value] += 1
        return
    step = next_step(email, now=evidence.now, patience=evidence.patience)
    row.waiting[f"{state.value}: {step or 'nothing is to come'}"] += 1


def _lines(name: str, evidence: Evidence, findings: Sequence[Finding]) -> Iterator[str]:
    counted = rows(evidence)
    head = ("accepted", "unans.", "calls", "unconf.", "cut off", *_COLUMNS, "other", "waiting", "twice")
    yield f"== {name}: {len(evidence.emails)} emails, {len(evidence.submissions)} calls"
    yield _line("fault", head)
    for fault, row in counted.items():
        ends = [row.ends[state.value] for state in _COLUMNS]
        others = row.ends.total() - sum(ends)
        values = (row.accepted, row.unanswered, row.calls, row.unconfirmed, row.cut_off, *ends, others)
        yield _line(fault, (*values, row.waiting.total(), len(row.twice)))
    yield _sum(counted)
    if evidence.other_answers:
        yield f"other answers that callers heard: {dict(evidence.other_answers)}"
    yield from _remarks(counted)
    yield f"broken promises: {len(findings)}"
    yield from (f"  {finding.breach}: {finding.what}" for finding in findings[:_SHOWN_FINDINGS])


def _sum(counted: dict[str, Row]) -> str:
    found = counted.values()
    accepted, unanswered = sum(row.accepted for row in found), sum(row.unanswered for row in found)
    ended, waiting = sum(row.ends.total() for row in found), sum(row.waiting.total() for row in found)
    return f"{accepted} accepted + {unanswered} unanswered = {ended} ended + {waiting} waiting"


def _remarks(counted: dict[str, Row]) -> Iterator[str]:
    """What the numbers don't say: other ends, what is waited for, and which emails went out twice."""
    for fault, row in counted.items():
        others = {end: count for end, count in row.ends.items() if end not in set(_COLUMNS)}
        if others:
            yield f"{fault}, other ends: {others}"
        if row.waiting:
            yield f"{fault}, waiting: {dict(row.waiting)}"
        if row.twice:
            named = f"{fault}, accepted more than once (and resent by policy): {', '.join(row.twice)}"
            yield fill(named, width=130, subsequent_indent="  ", break_on_hyphens=False)


def _line(first: str, values: Sequence[object]) -> str:
    return f"{first:<20}" + "".join(f"{value!s:>10}" for value in values)
