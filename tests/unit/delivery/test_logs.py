import asyncio
import gc
import logging
import re
from collections.abc import Iterator

import pytest

from delivery.logs import log_loop_error, set_up_logging


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, afterwards as it was before."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_an_event_is_one_line_with_its_time_in_utc(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    logging.getLogger("delivery.test").warning("something happened count=%d", 3)
    line = capsys.readouterr().err
    time, _, rest = line.partition(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", time)
    assert re.fullmatch(r"WARNING delivery\.test\[\d+\] something happened count=3\n", rest)


@pytest.mark.parametrize("library", ["aio_pika", "aiormq", "pymongo", "aiohttp.access"])
def test_libraries_that_quote_urls_and_commands_stay_quiet(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], library: str
) -> None:
    set_up_logging()
    logging.getLogger(library).warning("amqp://user:password@broker")
    assert capsys.readouterr().err == ""


def _fail_at_the_store() -> None:
    try:
        raise ValueError(" ".join(["quotes", "ann"]))
    except ValueError as error:
        raise KeyError(" ".join(["quotes", "ann"])) from error


def test_a_traceback_tells_types_and_places_but_no_text(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    try:
        _fail_at_the_store()
    except KeyError:
        logging.getLogger("delivery.test").exception("failed")
    logged = capsys.readouterr().err
    assert "_fail_at_the_store" in logged
    assert "\nKeyError\n" in logged
    assert "\nValueError\n" in logged
    assert "quotes ann" not in logged


def test_an_error_that_nobody_awaited_is_logged_without_its_text(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail() -> None:
        raise KeyError("".join(["ann", "@", "example.com"]))

    async def forget() -> None:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        forgotten = asyncio.create_task(fail())
        await asyncio.wait([forgotten])
        del forgotten
        gc.collect()

    set_up_logging()
    asyncio.run(forget())
    logged = capsys.readouterr().err
    assert "never retrieved error=KeyError" in logged
    assert "ann@example.com" not in logged


def test_setting_up_twice_does_not_double_the_lines(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    set_up_logging()
    logging.getLogger("delivery.test").info("once")
    assert capsys.readouterr().err.count("once") == 1
