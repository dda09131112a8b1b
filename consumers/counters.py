"""What the loops of this process have done since it started; ``GET /metrics`` tells it."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from delivery.domain.happenings import Happening

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Count(StrEnum):
    """The name of a counter, without ``postroom_`` and ``_total``."""

    RELAYED = "relayed_messages"
    DUE = "scheduled_emails_queued"
    RAN_OUT = "leases_run_out"
    APPLIED_LATE = "provider_events_without_message"
    LOST = "lost_messages"
    CHECKED = "status_checks"
    SETTLED = "emails_settled_by_checks"
    DECIDED = "emails_decided_at_deadline"
    UNREPORTED = "reports_not_asked_for"
    OVERDUE = "emails_waited_too_long"


HELP = {
    Count.RELAYED: "Owed messages that the relay published.",
    Count.DUE: "Scheduled emails whose time came, and whose message the broker confirmed.",
    Count.RAN_OUT: "Emails whose lease ran out, now unconfirmed.",
    Count.APPLIED_LATE: "Provider events that were applied without their message.",
    Count.LOST: "Emails whose message the broker lost, published again.",
    Count.CHECKED: "Calls of the provider's status endpoint.",
    Count.SETTLED: "Emails that these calls settled, by their new state.",
    Count.DECIDED: "Emails of which nobody spoke until their deadline, by what was decided.",
    Count.UNREPORTED: "Overdue reports that could not be asked for in time.",
    Count.OVERDUE: "Emails that waited too long for a provider that is away, by what became of them.",
}


class Counters:
    """Belongs to the event loop. A process that starts anew counts from 0, as Prometheus expects."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Count, str]] = Counter()

    def add(self, what: Count, count: int) -> None:
        self._counts[what, ""] += count

    def add_states(self, what: Count, happened: Iterable[Happening]) -> None:
        self._counts.update((what, happening.state.value) for happening in happened)

    def text(self) -> str:
        """In Prometheus's text format, version 0.0.4.

        https://prometheus.io/docs/instrumenting/exposition_formats/
        """
        lines = []
        for what in Count:
            name = f"postroom_{what}_total"
            lines += [f"# HELP {name} {HELP[what]}", f"# TYPE {name} counter"]
            found = {state: count for (counted, state), count in self._counts.items() if counted is what}
            lines += [f"{name}{_label(state)} {count}" for state, count in sorted(found.items())] or [
                f"{name} 0"
            ]
        return "\n".join(lines) + "\n"


def _label(state: str) -> str:
    return f'{{state="{state}"}}' if state else ""
