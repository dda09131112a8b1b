"""What the provider will do with one submission, decided when it arrives."""

from dataclasses import dataclass
from enum import StrEnum


class Acceptance(StrEnum):
    """When the email is accepted: reports follow, and the status endpoint knows it from then on."""

    NEVER = "never"
    BEFORE_THE_ANSWER = "before the answer"
    AFTER_THE_ANSWER = "after the answer"


class Ending(StrEnum):
    """How the call ends."""

    RESPONSE = "response"
    HANG = "hang"
    RESET = "reset"


class Report(StrEnum):
    """What a webhook and the status endpoint say became of an accepted email."""

    DELIVERED = "DELIVERED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


JSON = "application/json"
HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Answer:
    """One way to answer a submission. `name` stands in the log; only a RESPONSE has a status and a body."""

    name: str
    status: int = 0
    body: bytes = b""
    content_type: str = JSON
    acceptance: Acceptance = Acceptance.NEVER
    ending: Ending = Ending.RESPONSE
    says_retry_after: bool = False
    skips_latency: bool = False


ACCEPTED = Answer("accepted", 200, b'{"STATUS":"ACCEPTED"}', acceptance=Acceptance.BEFORE_THE_ANSWER)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole fate of one submission; every length of time is in seconds.

    `reports` are sent in order, each after the one before it was answered or given up; the first of them is
    what the status endpoint says. The whole row is sent `copies` times over, side by side; 0 loses it.
    They tell `about` whom they are where an email has several recipients.
    """

    answer: Answer = ACCEPTED
    latency: float = 0.0
    accept_after: float = 0.0
    reports: tuple[Report, ...] = (Report.DELIVERED,)
    copies: int = 1
    webhook_delay: float = 0.0
    webhook_first: bool = False
    about: str | None = None
