"""What ``/readyz`` tells of the provider, the same from the API and from the consumers."""

from delivery.domain.breaker import Breaker


def provider_health(breaker: Breaker) -> dict[str, str]:
    """Its breaker: closed, open or half_open; unless it is closed, also since when and why."""
    told = {"breaker": breaker.phase.value}
    if not breaker.is_closed and breaker.since is not None:
        told |= {"since": breaker.since.isoformat(timespec="seconds"), "reason": breaker.reason or ""}
    return told
