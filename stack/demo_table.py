"""What the demo shows at its end: how many emails of each lane ended how, and after how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

_LANES = ("critical", "transactional", "standard", "bulk")


@dataclass(slots=True, kw_only=True)
class Followed:
    """An accepted email. accepted_at: on the monotonic clock. ended_after: seconds, None until its end."""

    request_id: str
    lane: str
    accepted_at: float
    detail: str = "unknown"
    ended_after: float | None = None


def table(followed: Sequence[Followed]) -> Table:
    """One row for every lane and state, most urgent lane first."""
    shown = Table(title="Emails by lane and state")
    shown.add_column("lane")
    shown.add_column("state")
    for heading in ("emails", "median s", "slowest s"):
        shown.add_column(heading, justify="right")
    for lane in _LANES:
        of_lane = [email for email in followed if email.lane == lane]
        for detail in sorted({email.detail for email in of_lane}):
            emails = [email for email in of_lane if email.detail == detail]
            shown.add_row(lane, detail, str(len(emails)), *_times(emails))
        shown.add_section()
    return shown


def _times(emails: Sequence[Followed]) -> tuple[str, str]:
    times = [email.ended_after for email in emails if email.ended_after is not None]
    return (f"{median(times):.1f}", f"{max(times):.1f}") if times else ("-", "-")
