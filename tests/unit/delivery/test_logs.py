import logging
import re
from collections.abc import Iterator

import pytest

from delivery.logs import set_up_logging


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


def test_setting_up_twice_does_not_double_the_lines(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    set_up_logging()
    logging.getLogger("delivery.test").info("once")
    assert capsys.readouterr().err.count("once") == 1
