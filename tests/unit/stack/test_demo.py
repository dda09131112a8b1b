from collections import Counter

from rich.console import Console

from stack.demo import REFUSED_ONCE, SLOW_LANES, mixed_emails
from stack.demo_table import Followed, table


def test_a_few_hundred_emails_use_every_lane() -> None:
    lanes = Counter(email["lane"] for email in mixed_emails(300))

    assert set(lanes) == {"critical", "transactional", "standard", "bulk"}


def test_the_mixture_is_the_same_every_time() -> None:
    assert mixed_emails(300) == mixed_emails(300)


def test_nothing_fails_twice_in_a_lane_whose_second_retry_takes_minutes() -> None:
    emails = mixed_emails(2000)

    assert any(email["recipient"] == REFUSED_ONCE for email in emails)
    assert not [e for e in emails if e["lane"] in SLOW_LANES and e["recipient"] == REFUSED_ONCE]


def test_the_table_counts_by_lane_and_state_and_shows_what_has_not_ended() -> None:
    def followed(lane: str, detail: str, ended_after: float | None) -> Followed:
        return Followed(request_id="1", lane=lane, accepted_at=0, detail=detail, ended_after=ended_after)

    console = Console(width=100)
    with console.capture() as shown:
        console.print(
            table(
                [
                    followed("bulk", "retrying", None),
                    followed("critical", "delivered", 1.0),
                    followed("critical", "delivered", 3.0),
                ]
            )
        )

    rows = [line.replace("│", " ").split() for line in shown.get().splitlines() if "│" in line]
    assert rows == [["critical", "delivered", "2", "2.0", "3.0"], ["bulk", "retrying", "1", "-", "-"]]
