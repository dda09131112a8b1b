"""When an email may be sent, and until when: rules that no field can check alone."""

from datetime import datetime, timedelta

from delivery.domain.errors import ComesTooLate, InvalidRequest

LONGEST_AHEAD = timedelta(days=90)
MAX_TTL_SECONDS = int(LONGEST_AHEAD.total_seconds())


def send_time(given: datetime | None, *, field: str, now: datetime) -> datetime | None:
    """When to send; None for at once, which is what a time that has passed means.

    field: what the caller knows it by. Raises InvalidRequest for a time too far ahead.
    """
    if given is None or given <= now:
        return None
    if given - now > LONGEST_AHEAD:
        raise InvalidRequest(f"{field} is more than {LONGEST_AHEAD.days} days ahead")
    return given


def expiry(
    expires_at: datetime | None, *, ttl: int | None, send_at: datetime | None, now: datetime
) -> datetime | None:
    """When it may be sent no more; None for never.

    ttl: seconds from when it is to be sent. Raises InvalidRequest; ComesTooLate for an expiry in the past.
    """
    if ttl is not None:
        if expires_at is not None:
            raise InvalidRequest("give expires_at or ttl, not both")
        return (send_at or now) + timedelta(seconds=ttl)
    if expires_at is not None and expires_at <= now:
        raise ComesTooLate("expires_at is in the past")
    if expires_at is not None and send_at is not None and expires_at <= send_at:
        raise InvalidRequest("expires_at must be after the time at which it is to be sent")
    return expires_at
