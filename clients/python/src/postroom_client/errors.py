"""The one error tree. What is worth another try later says so: ``is_passing``."""

from typing import ClassVar


class PostroomError(Exception):
    """Whatever this package raises on purpose.

    idempotency_key, message_id: under which the email was handed over. Whoever does not know what became of
    it hands it over again with the same one: nothing is sent twice.
    """

    is_passing: ClassVar[bool] = False

    idempotency_key: str | None = None
    message_id: str | None = None


# HTTP


class NoAnswer(PostroomError):
    """No connection, or it was lost, or no answer came in time. The request may have been obeyed."""

    is_passing = True


class ApiError(PostroomError):
    """postroom answered, and it was an error.

    status: of HTTP. code: a word such as BAD_REQUEST. message: for people. request_id: the id that the email
    has if it was accepted after all. retry_after: seconds, where the answer says so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """The request can't be taken; the message names what is wrong with it."""


class NotAuthenticated(ApiError):
    """No key, or not a valid one."""


class NotAllowed(ApiError):
    """The key, or its tenant, may not do that."""


class NotFound(ApiError):
    """No email of this tenant has that id."""


class Conflict(ApiError):
    """It contradicts what was there before: an idempotency key that came with another email, for instance."""


class InFlight(Conflict):
    """Another request with the same idempotency key is still being worked on."""

    is_passing = True


class RateLimited(ApiError):
    """Too many requests."""

    is_passing = True


class Unavailable(ApiError):
    """postroom, or what stands in front of it, can't answer now. The request may have been obeyed."""

    is_passing = True


class ServerError(ApiError):
    """postroom failed in a way that it did not foresee."""


class UnexpectedAnswer(ApiError):
    """An answer that is none of postroom's: a redirection, or a page of a proxy."""


class NotFinal(PostroomError):
    """The time was over before the email came to its end. status: the last that was heard."""

    def __init__(self, email_id: str, status: str) -> None:
        super().__init__(f"email {email_id} is still {status}")
        self.email_id = email_id
        self.status = status


# AMQP


class Denied(PostroomError):
    """postroom does not take the email; reason says why. It is kept in the queue ``email.rejected``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotTaken(PostroomError):
    """The broker has not taken the message."""


class Unroutable(NotTaken):
    """The broker returned it: it has no exchange or no queue for it. Is it postroom's broker?"""


class Unconfirmed(PostroomError):
    """Nobody knows whether the broker has it. Send it again with the same message_id."""

    is_passing = True


class NoReply(Unconfirmed):
    """The broker has it for good, and no word of postroom came in time. It will read it when it can."""
