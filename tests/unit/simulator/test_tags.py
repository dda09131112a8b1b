import re
from pathlib import Path

import pytest

import simulator
from simulator.plans import ACCEPTED, Acceptance, Ending, Plan, Report
from simulator.tag_parser import parse_tag
from simulator.tags import TAGS, Argument, Axis


def plan_of(tag: str) -> Plan:
    return parse_tag(tag).apply(Plan())


@pytest.mark.parametrize(
    ("tag", "status", "body"),
    [
        ("error", 500, b'{"STATUS":"ERROR"}'),
        ("200-error", 200, b'{"STATUS":"ERROR"}'),
        ("reject", 400, b"{"),
        ("401", 401, b"{"),
        ("422", 422, b"{"),
        ("429", 429, b"{"),
        ("503", 503, b"<html>"),
        ("502", 502, b"<html>"),
        ("504-never", 504, b"<html>"),
        ("garbage-200-lost", 200, b"<html>"),
        ("garbage-500", 500, b"<html>"),
    ],
)
def test_a_refusal_answers_and_accepts_nothing(tag: str, status: int, body: bytes) -> None:
    answer = plan_of(tag).answer
    assert (answer.status, answer.ending, answer.acceptance) == (status, Ending.RESPONSE, Acceptance.NEVER)
    assert answer.body.startswith(body)


def test_a_timeout_may_hide_an_acceptance_to_come() -> None:
    plan = plan_of("504-then-accept.120")
    assert (plan.answer.status, plan.answer.acceptance) == (504, Acceptance.AFTER_THE_ANSWER)
    assert plan.accept_after == 120


def test_an_unreadable_answer_may_hide_an_acceptance() -> None:
    answer = plan_of("garbage-200").answer
    assert (answer.status, answer.acceptance) == (200, Acceptance.BEFORE_THE_ANSWER)


@pytest.mark.parametrize(
    ("tag", "ending", "acceptance"),
    [
        ("hang", Ending.HANG, Acceptance.NEVER),
        ("hang-accepted", Ending.HANG, Acceptance.BEFORE_THE_ANSWER),
        ("reset-before", Ending.RESET, Acceptance.NEVER),
        ("reset-after", Ending.RESET, Acceptance.BEFORE_THE_ANSWER),
        ("reset-after-lost", Ending.RESET, Acceptance.NEVER),
    ],
)
def test_silence_tells_nothing_about_acceptance(tag: str, ending: Ending, acceptance: Acceptance) -> None:
    answer = plan_of(tag).answer
    assert (answer.ending, answer.acceptance) == (ending, acceptance)


def test_only_a_throttle_says_when_to_come_back() -> None:
    assert [name for name in TAGS if name_says_retry_after(name)] == ["429"]


def name_says_retry_after(name: str) -> bool:
    return TAGS[name].axis is Axis.ANSWER and TAGS[name].apply(Plan(), 1).answer.says_retry_after


@pytest.mark.parametrize(
    ("tag", "reports", "copies"),
    [
        ("webhook-rejected", (Report.REJECTED,), 1),
        ("webhook-failed", (Report.FAILED,), 1),
        ("webhook-reversed", (Report.DELIVERED, Report.FAILED), 1),
        ("webhook-lost", (Report.DELIVERED,), 0),
        ("webhook-dup.3", (Report.DELIVERED,), 3),
    ],
)
def test_a_webhook_tag_changes_what_is_reported_and_how_often(
    tag: str, reports: tuple[Report, ...], copies: int
) -> None:
    plan = plan_of(tag)
    assert (plan.answer, plan.reports, plan.copies) == (ACCEPTED, reports, copies)


def test_a_webhook_may_come_first_or_late() -> None:
    assert plan_of("webhook-first").webhook_first
    assert plan_of("webhook-late.30").webhook_delay == 30


def test_a_slow_answer_is_an_acceptance_all_the_same() -> None:
    assert plan_of("slow.12") == Plan(latency=12)


def test_no_tag_is_named_like_an_answer_without_fault() -> None:
    assert not {"accepted", "down", "invalid"} & set(TAGS)


def test_each_tag_leaves_the_other_axes_alone() -> None:
    for name, rule in TAGS.items():
        if rule.axis is not Axis.ANSWER:
            assert rule.apply(Plan(), 1).answer == ACCEPTED, name
        else:
            assert rule.apply(Plan(), 1).reports == (Report.DELIVERED,), name


def test_the_handbook_has_a_row_for_every_tag() -> None:
    text = Path(simulator.__file__).with_name("README.md").read_text()
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    documented = {
        (tag, axis.strip())
        for tags, axis in rows
        for tag in re.findall(r"`([^`]+)`", tags)
        if axis.strip() in set(Axis)
    }
    assert documented == {(f"{name}{written_argument(name)}", rule.axis) for name, rule in TAGS.items()}


def written_argument(name: str) -> str:
    rule = TAGS[name]
    letter = {Argument.SECONDS: "s", Argument.NUMBER: "<number>"}.get(rule.argument, "n")
    if rule.argument is Argument.NONE:
        return ""
    optional = rule.default is not None or rule.argument is Argument.FIRST
    return f"[.{letter}]" if optional else f".{letter}"
