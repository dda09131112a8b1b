"""The one error tree. api/errors.py maps it to HTTP, consumers/settlement.py to broker verdicts."""


class PostroomError(Exception):
    """Whatever postroom raises on purpose."""


class InvalidRequest(PostroomError):
    """The caller's request can't be taken; ``reason`` is written for that person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestTooLarge(InvalidRequest):
    """The body is over the limit."""


class UnknownEmail(PostroomError):
    """No email of this tenant has that id."""


class NotAuthenticated(PostroomError):
    """No valid key or signature came with the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotAllowed(PostroomError):
    """The caller may not do that."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotStored(PostroomError):
    """The store answered, and did not take this one."""


class StoreUnavailable(PostroomError):
    """The store did not answer, and nothing was written."""


class StoreOutcomeUnknown(StoreUnavailable):
    """The store did not answer in time, and the write may have happened."""
