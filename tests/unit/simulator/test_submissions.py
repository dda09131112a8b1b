from simulator.plans import Report
from simulator.submissions import Submission, SubmissionLog, WebhookTry


def submission(request_id: str) -> Submission:
    return Submission(request_id=request_id, recipient="b@example.com", message_length=5, received_at=1.0)


def log_of(*request_ids: str, accepted: bool = True) -> SubmissionLog:
    log = SubmissionLog()
    for request_id in request_ids:
        received = submission(request_id)
        log.add(received)
        if accepted:
            log.accept(received, at=2.0)
    return log


def test_a_double_shows() -> None:
    summary = log_of("a", "b", "a").summary(with_ids=True)
    assert (summary["received"], summary["accepted"]) == (3, 3)
    assert (summary["accepted_ids"], summary["duplicates"]) == (["a", "b"], ["a"])


def test_a_second_submission_is_no_double_while_only_one_is_accepted() -> None:
    log = log_of("a", accepted=False)
    again = submission("a")
    log.add(again)
    log.accept(again, at=2.0)
    summary = log.summary(with_ids=True)
    assert (summary["received"], summary["accepted"], summary["duplicates"]) == (2, 1, [])


def test_the_ids_can_be_left_out() -> None:
    assert "accepted_ids" not in log_of("a").summary(with_ids=False)


def test_answers_are_counted_by_name() -> None:
    log = log_of("a", "b", "c", accepted=False)
    for received, answer in zip(log.submissions, ("error", "accepted", "error"), strict=True):
        received.answer = answer
    assert log.summary(with_ids=False)["answers"] == {"error": 2, "accepted": 1}


def test_pages_follow_each_other_without_gap_or_overlap() -> None:
    log = log_of(*"abcde")
    first, second, third = (log.page(since=since, limit=2) for since in (0, 2, 4))
    assert [ids(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page["next"] for page in (first, second, third)] == [2, 4, 5]
    assert third["total"] == 5


def ids(page: dict[str, object]) -> list[str]:
    submissions = page["submissions"]
    assert isinstance(submissions, list)
    return [shown["request_id"] for shown in submissions]


def test_a_page_past_the_end_is_empty() -> None:
    assert log_of("a").page(since=10, limit=5) == {"submissions": [], "next": 10, "total": 1}


def test_a_submission_shows_its_times_and_its_webhooks() -> None:
    log = log_of("a")
    log.submissions[0].add_webhook(WebhookTry(Report.DELIVERED, 3.0, "TimeoutError"))
    log.submissions[0].add_webhook(WebhookTry(Report.DELIVERED, 4.0, 200))
    assert log.page(since=0, limit=1)["submissions"] == [
        {
            "index": 0,
            "request_id": "a",
            "recipient": "b@example.com",
            "message_length": 5,
            "received_at": 1.0,
            "answered_at": None,
            "accepted_at": 2.0,
            "answer": "",
            "answer_status": None,
            "webhooks": [
                {"report": "DELIVERED", "at": 3.0, "result": "TimeoutError"},
                {"report": "DELIVERED", "at": 4.0, "result": 200},
            ],
        }
    ]


def test_only_what_was_accepted_has_a_status() -> None:
    log = log_of("a", accepted=False)
    assert log.status("a") is None
    log.accept(log.submissions[0], at=2.0)
    assert log.status("a") == "ACCEPTED"
    log.finish("a", Report.FAILED)
    assert log.status("a") == "FAILED"


def test_an_email_to_several_has_a_status_once_it_is_known_of_all() -> None:
    log = log_of("a")
    log.accept(log.submissions[0], at=2.0)
    for report in (Report.FAILED, Report.DELIVERED):
        assert log.status("a") == "ACCEPTED"
        log.finish("a", report, recipients=3)
    log.finish("a", Report.REJECTED, recipients=3)
    assert log.status("a") == "DELIVERED"
