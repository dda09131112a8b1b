import logging

import pytest

from consumers.__main__ import exit_code_of
from delivery.config_values import InvalidConfiguration
from delivery.logs import LineFormatter
from tests.harness.logged import logged_here
from topology.declare import TopologyMismatch


def _raising(error: Exception) -> None:
    raise error


def test_a_run_that_was_told_to_stop_ends_well() -> None:
    assert exit_code_of(lambda: None) == 0


@pytest.mark.parametrize(
    "error", [InvalidConfiguration("x is missing"), TopologyMismatch("email.dead", "x differs")]
)
def test_what_an_operator_must_mend_is_said_in_words(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert exit_code_of(lambda: _raising(error)) == 2
    assert str(error) in caplog.text


def test_any_other_end_is_logged_without_the_errors_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(LineFormatter())
    text = "quotes a document"
    assert exit_code_of(lambda: _raising(KeyError(text))) == 1
    assert "KeyError" in caplog.text
    assert text not in caplog.text
    assert [record.levelno for record in logged_here(caplog)] == [logging.ERROR]
