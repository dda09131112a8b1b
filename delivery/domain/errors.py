"""The one error tree. api/errors.py maps it to HTTP, consumers/settlement.py to broker verdicts."""

from datetime import timedelta

from delivery.domain.rates import Allowance


class PostroomError(Exception):
    """Whatever postroom raises on purpose."""


class InvalidRequest(PostroomError):
    """The caller's request can't be taken; the text says why, and is written for that person."""


class RequestTooLarge(InvalidRequest):
    """The body is over the limit."""


class ComesTooLate(InvalidRequest):
    """When the request came, the email was past its expiry. It may have been accepted before."""


class UnknownEmail(PostroomError):
    """No email of this tenant has that id."""


class TooLate(PostroomError):
    """The email has gone too far for that."""


class NotAuthenticated(PostroomError):
    """No valid key or signature came with the request."""


class NotAllowed(PostroomError):
    """The caller may not do that."""


class AlreadyThere(PostroomError):
    """Something else has that name."""


class KeyReused(PostroomError):
    """The idempotency key came with another request before."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was used before with another request")


class IdReused(PostroomError):
    """The caller's own id of an email came with another content before."""

    def __init__(self) -> None:
        super().__init__("email_id was used before with other content")


class KeyInFlight(PostroomError):
    """The first request with this idempotency key is not answered yet."""

    def __init__(self) -> None:
        super().__init__("a request with this Idempotency-Key is being worked on; try again")


class RateExceeded(PostroomError):
    """The tenant has made all the requests that it may make for now."""

    def __init__(self, allowance: Allowance, *, again_in: timedelta) -> None:
        super().__init__("too many requests; try again later")
        self.allowance = allowance
        self.again_in = again_in


class AttachmentsMissing(PostroomError):
    """Some bytes of an email's attachments are not in the store."""


class NotStored(PostroomError):
    """The store answered, and did not take this one."""


class StoreUnavailable(PostroomError):
    """The store did not answer. Nothing was written, unless it is a StoreOutcomeUnknown."""


class StoreOutcomeUnknown(StoreUnavailable):
    """The store did not answer in time, and the write may have happened."""


class BrokerUnavailable(PostroomError):
    """The broker did not answer, or did not let us in."""
