"""The log of submissions: everything the provider received, accepted and reported."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from simulator.plans import Report

_BEST = [Report.DELIVERED, Report.FAILED, Report.REJECTED]


class WebhookTry(NamedTuple):
    """One webhook call. `at` in epoch seconds; `result` is the HTTP status, or why there was none.

    The result "lost" means that the call was not made.
    """

    report: Report
    at: float
    result: int | str
    about: str | None = None


@dataclass(slots=True)
class Submission:
    """One `POST /api/emails`. Times in epoch seconds; None for what has not happened.

    `answer` is what it decided on arrival: "accepted", a tag's name, "down" or "invalid"; `answer_status` is
    the HTTP status once it was sent. `recipients` and `extra`: see SubmissionBody.
    """

    request_id: str
    recipient: str
    message_length: int
    received_at: float
    answer: str = ""
    answer_status: int | None = None
    answered_at: float | None = None
    accepted_at: float | None = None
    webhooks: list[WebhookTry] | None = None
    recipients: tuple[str, ...] = ()
    extra: dict[str, object] | None = None

    def add_webhook(self, webhook: WebhookTry) -> None:
        if self.webhooks is None:
            self.webhooks = []
        self.webhooks.append(webhook)


class SubmissionLog:
    """Submissions in order of arrival, and what became of the accepted emails. Nothing is deduplicated."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self._accepted = 0
        self._status: dict[str, str] = {}
        self._duplicates: dict[str, None] = {}
        self._ended: dict[str, list[Report]] = {}

    def add(self, submission: Submission) -> None:
        self.submissions.append(submission)

    def accept(self, submission: Submission, *, at: float) -> None:
        submission.accepted_at = at
        self._accepted += 1
        if submission.request_id in self._status:
            self._duplicates[submission.request_id] = None
        self._status[submission.request_id] = "ACCEPTED"

    def finish(self, request_id: str, report: Report, *, recipients: int = 1) -> None:
        """A delivery of the email ended, whether or not a webhook will tell.

        With the last one the email has a status: DELIVERED if it was to any of its recipients.
        """
        ended = [*self._ended.pop(request_id, []), report]
        if len(ended) < recipients:
            self._ended[request_id] = ended
        else:
            self._status[request_id] = min(ended, key=_BEST.index)

    def status(self, request_id: str) -> str | None:
        """What the status endpoint says of an accepted email; None if it never accepted it."""
        return self._status.get(request_id)

    def page(self, *, since: int, limit: int) -> dict[str, object]:
        chosen = islice(self.submissions, since, since + limit)
        submissions = [_shown(index, submission) for index, submission in enumerate(chosen, since)]
        return {"submissions": submissions, "next": since + len(submissions), "total": len(self.submissions)}

    def summary(self, *, with_ids: bool) -> dict[str, object]:
        counts: dict[str, object] = {
            "received": len(self.submissions),
            "accepted": self._accepted,
            "duplicates": list(self._duplicates),
            "answers": Counter(submission.answer for submission in self.submissions),
        }
        return {**counts, "accepted_ids": list(self._status)} if with_ids else counts


def _shown(index: int, submission: Submission) -> dict[str, object]:
    return {
        "index": index,
        "request_id": submission.request_id,
        "recipient": submission.recipient,
        "message_length": submission.message_length,
        "received_at": submission.received_at,
        "answered_at": submission.answered_at,
        "accepted_at": submission.accepted_at,
        "answer": submission.answer,
        "answer_status": submission.answer_status,
        "webhooks": [_shown_webhook(webhook) for webhook in submission.webhooks or ()],
        **({"recipients": submission.recipients} if len(submission.recipients) > 1 else {}),
        **({"extra": submission.extra} if submission.extra else {}),
    }


def _shown_webhook(webhook: WebhookTry) -> dict[str, object]:
    return {name: value for name, value in webhook._asdict().items() if name != "about" or value is not None}
