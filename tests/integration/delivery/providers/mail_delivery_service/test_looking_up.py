"""The status endpoint of the real simulator, and of one that breaks HTTP."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from delivery.domain.unknowns import Found
from delivery.use_cases.ask_about_emails import LookUp
from tests.harness.deadline import wait_for_value
from tests.integration.delivery.providers.mail_delivery_service.calling import CONFIG, adapter, email
from tests.integration.delivery.providers.mail_delivery_service.conftest import LookUpAll, SubmitAll
from tests.integration.simulator.running import Simulator

KNOWN = {
    "webhook-late.9999": Found.ACCEPTED,
    "webhook-lost": Found.DELIVERED,
    "webhook-lost+webhook-rejected": Found.REJECTED,
    "webhook-lost+webhook-failed": Found.FAILED,
    "error": Found.NEVER_SEEN,
    "504-then-accept.9999": Found.NEVER_SEEN,
}


def test_the_status_endpoint_tells_what_became_of_an_email(
    provider: Simulator, submit: SubmitAll, look_up: LookUpAll
) -> None:
    provider.faults(status_budget=None, webhook_delay=0)
    emails = {tags: email(tags) for tags in KNOWN}
    submit(*emails.values())

    def told() -> list[Found]:
        return [answer.found for answer in look_up(*(email.email_id for email in emails.values()))]

    wait_for_value(told, list(KNOWN.values()), within=30, what="each email is where its tags bring it")
    provider.delete("/_log")


def test_a_status_endpoint_that_has_had_enough_says_for_how_long(
    provider: Simulator, look_up: LookUpAll
) -> None:
    provider.delete("/_log")
    provider.faults(status_budget=1, status_ban=77)
    never, too_many, banned = look_up("a", "b", "c")
    assert never == LookUp(Found.NEVER_SEEN)
    assert too_many == LookUp(Found.CANT_TELL, pause=timedelta(seconds=77))
    assert banned == LookUp(Found.CANT_TELL, pause=timedelta(minutes=5))
    provider.delete("/_log")


def test_a_provider_that_is_down_can_tell_nothing(provider: Simulator, look_up: LookUpAll) -> None:
    for mode in ("refuse", "503"):
        provider.faults(down={"mode": mode, "seconds": None})
        assert look_up("a") == [LookUp(Found.CANT_TELL)]


@pytest.mark.parametrize("answer", [None, b"", b"nonsense\r\n\r\n"], ids=["hangs up", "hangs", "nonsense"])
def test_an_answer_that_is_none_tells_nothing(tmp_path: Path, answer: bytes | None) -> None:
    async def talk() -> LookUp:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer or b"")
            if answer != b"":
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with (
            server,
            adapter(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path) as service,
        ):
            return await service.look_up("a")

    assert asyncio.run(talk()) == LookUp(Found.CANT_TELL)


def test_a_check_does_not_wait_until_a_submission_has_left(provider: Simulator, tmp_path: Path) -> None:
    """Every slot of the process is taken by a call that hangs."""

    async def ask_meanwhile() -> LookUp:
        patient = CONFIG.replace('total_timeout = "2s"', 'total_timeout = "40s"')
        async with adapter(provider.url, tmp_path, config=patient) as service:
            calls = [asyncio.create_task(service.submit(email("hang"))) for _ in range(32)]
            await asyncio.to_thread(
                wait_for_value,
                lambda: provider.summary()["in_flight"],
                len(calls),
                within=30,
                what="all calls are out",
            )
            answer = await service.look_up("a")
            assert not any(call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            return answer

    assert asyncio.run(ask_meanwhile()) == LookUp(Found.NEVER_SEEN)
