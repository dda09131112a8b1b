"""One table of every way in which the provider can misbehave towards one email.

A test names a tag in the recipient; the fault settings give it a probability.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from simulator.plans import HTML, JSON, Acceptance, Answer, Ending, Plan, Report


class Axis(StrEnum):
    """What a tag decides about an email. Two tags of one axis contradict each other."""

    ANSWER = "answer"
    LATENCY = "latency"
    REPORT = "report"
    COPIES = "copies"
    MOMENT = "moment"
    NOTE = "note"


class Argument(StrEnum):
    """What the number behind a tag's name means."""

    NONE = "none"
    FIRST = "how many submissions of a request_id are hit; without it, all"
    SECONDS = "seconds"
    COUNT = "how often"
    NUMBER = "a number that means nothing"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `default` is the argument when none is given; None makes it required."""

    axis: Axis
    argument: Argument
    apply: Callable[[Plan, float], Plan]
    default: float | None = None


def _answers(answer: Answer) -> Callable[[Plan, float], Plan]:
    return lambda plan, _: replace(plan, answer=answer)


def _answers_and_accepts_later(answer: Answer) -> Callable[[Plan, float], Plan]:
    return lambda plan, seconds: replace(plan, answer=answer, accept_after=seconds)


def _reports(*reports: Report) -> Callable[[Plan, float], Plan]:
    return lambda plan, _: replace(plan, reports=reports)


def _first(answer: Answer) -> Rule:
    return Rule(Axis.ANSWER, Argument.FIRST, _answers(answer))


def _json_answer(name: str, status: int, body: bytes) -> Rule:
    return _first(Answer(name, status, body, JSON))


def _html_answer(name: str, status: int, title: bytes, *, acceptance: Acceptance = Acceptance.NEVER) -> Rule:
    return _first(Answer(name, status, _page(title), HTML, acceptance=acceptance))


def _page(title: bytes) -> bytes:
    return b"<html><head><title>" + title + b"</title></head></html>"


def _silent(name: str, ending: Ending, *, accepts: bool = False, skips_latency: bool = False) -> Rule:
    acceptance = Acceptance.BEFORE_THE_ANSWER if accepts else Acceptance.NEVER
    return _first(Answer(name, acceptance=acceptance, ending=ending, skips_latency=skips_latency))


_TIMEOUT = Answer("504-then-accept", 504, _page(b"504 Gateway Time-out"), HTML, Acceptance.AFTER_THE_ANSWER)

TAGS: Mapping[str, Rule] = {
    # A definite no, for now or for good.
    "error": _json_answer("error", 500, b'{"STATUS":"ERROR"}'),
    "200-error": _json_answer("200-error", 200, b'{"STATUS":"ERROR"}'),
    "reject": _json_answer("reject", 400, b'{"error":"recipient refused"}'),
    "422": _json_answer("422", 422, b'{"error":"content refused"}'),
    "413": _json_answer("413", 413, b'{"error":"too large"}'),
    "401": _json_answer("401", 401, b'{"error":"bad credential"}'),
    "403": _json_answer("403", 403, b'{"error":"forbidden"}'),
    "404": _html_answer("404", 404, b"404 Not Found"),
    "408": _html_answer("408", 408, b"408 Request Time-out"),
    "429": _first(Answer("429", 429, b'{"error":"too many requests"}', says_retry_after=True)),
    "503": _html_answer("503", 503, b"503 Service Temporarily Unavailable"),
    # Answers that tell nothing.
    "502": _html_answer("502", 502, b"502 Bad Gateway"),
    "504-never": _html_answer("504-never", 504, b"504 Gateway Time-out"),
    "504-then-accept": Rule(Axis.ANSWER, Argument.SECONDS, _answers_and_accepts_later(_TIMEOUT), default=5.0),
    "garbage-200": _html_answer("garbage-200", 200, b"OK", acceptance=Acceptance.BEFORE_THE_ANSWER),
    "garbage-200-lost": _html_answer("garbage-200-lost", 200, b"OK"),
    "garbage-500": _html_answer("garbage-500", 500, b"Internal Server Error"),
    # No answer at all.
    "hang": _silent("hang", Ending.HANG),
    "hang-accepted": _silent("hang-accepted", Ending.HANG, accepts=True),
    "reset-before": _silent("reset-before", Ending.RESET, skips_latency=True),
    "reset-after": _silent("reset-after", Ending.RESET, accepts=True),
    "reset-after-lost": _silent("reset-after-lost", Ending.RESET),
    # How long the answer takes.
    "slow": Rule(Axis.LATENCY, Argument.SECONDS, lambda plan, seconds: replace(plan, latency=seconds)),
    # What is reported, how often and when.
    "webhook-rejected": Rule(Axis.REPORT, Argument.NONE, _reports(Report.REJECTED)),
    "webhook-failed": Rule(Axis.REPORT, Argument.NONE, _reports(Report.FAILED)),
    "webhook-reversed": Rule(Axis.REPORT, Argument.NONE, _reports(Report.DELIVERED, Report.FAILED)),
    "webhook-lost": Rule(Axis.COPIES, Argument.NONE, lambda plan, _: replace(plan, copies=0)),
    "webhook-dup": Rule(
        Axis.COPIES, Argument.COUNT, lambda plan, count: replace(plan, copies=int(count)), default=2
    ),
    "webhook-first": Rule(Axis.MOMENT, Argument.NONE, lambda plan, _: replace(plan, webhook_first=True)),
    "webhook-late": Rule(
        Axis.MOMENT, Argument.SECONDS, lambda plan, seconds: replace(plan, webhook_delay=seconds)
    ),
    # Makes an address unique.
    "n": Rule(Axis.NOTE, Argument.NUMBER, lambda plan, _: plan),
}
