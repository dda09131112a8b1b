"""What the driver's errors mean to us."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from delivery.domain.errors import StoreOutcomeUnknown, StoreUnavailable
from delivery.store.client import store_errors, time_to_write


def _raised(error: PyMongoError) -> Exception:
    with pytest.raises(Exception) as raised, store_errors():  # noqa: PT011 - which one is the question
        raise error
    return raised.value


@pytest.mark.parametrize("error", [ServerSelectionTimeoutError("x"), WaitQueueTimeoutError("x")], ids=repr)
def test_what_never_left_us_was_not_written(error: PyMongoError) -> None:
    assert type(_raised(error)) is StoreUnavailable


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("connection closed"),
        ConnectionFailure("x"),
        NetworkTimeout("x"),
        NotPrimaryError("x"),
        ExecutionTimeout("x", 50),
        WTimeoutError("x", 64),
        WriteConcernError("x", 91),
        OperationFailure("x", 50),
        OperationFailure("x", 11602, {"errorLabels": ["RetryableWriteError"]}),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "x"}]}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_was_sent_and_not_answered_may_have_been_written(error: PyMongoError) -> None:
    assert type(_raised(error)) is StoreOutcomeUnknown


@pytest.mark.parametrize(
    "error",
    [
        DuplicateKeyError("x", 11000),
        OperationFailure("not authorized", 13),
        BulkWriteError({"writeErrors": [{"index": 0, "code": 11000}], "writeConcernErrors": []}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_of_the_stores_passes_as_it_is(error: PyMongoError) -> None:
    assert _raised(error) is error


def test_no_text_of_the_driver_is_carried_along() -> None:
    """It may quote the command, and with it an address."""
    assert "ann@example.com" not in str(_raised(AutoReconnect("ann@example.com")))


def test_what_is_large_may_take_the_store_longer() -> None:
    sizes = [0, 1024 * 1024, 10 * 1024 * 1024]
    assert [time_to_write(size).total_seconds() for size in sizes] == [5, 7, 25]
