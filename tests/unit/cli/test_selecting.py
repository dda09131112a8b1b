from datetime import UTC, datetime, timedelta

import pytest

from cli.selecting import parse_time
from delivery.domain.errors import InvalidRequest

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("0s", NOW),
        ("7d", NOW - timedelta(days=7)),
        ("2030-01-31T12:00Z", NOW),
        ("2030-01-31T13:00+01:00", NOW),
    ],
)
def test_a_time_is_so_long_ago_or_an_instant(text: str, means: datetime) -> None:
    assert parse_time(text, now=NOW, option="--since") == means


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "2030-01-31T12:00", "99999999999d"])
def test_anything_else_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^--since "):
        parse_time(text, now=NOW, option="--since")


def test_nothing_is_no_time() -> None:
    assert parse_time(None, now=NOW, option="--since") is None
