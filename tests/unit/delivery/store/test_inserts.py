from collections.abc import Sequence
from typing import Any, cast

import pytest
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from delivery.domain.errors import StoreOutcomeUnknown
from delivery.domain.inserted import Inserted
from delivery.store.client import Document
from delivery.store.inserts import insert_new

DOCUMENTS: list[Document] = [{"_id": name} for name in "abc"]


class Refusing:
    """A collection that refuses documents, by their place in the batch, with these codes."""

    name = "emails"

    def __init__(self, codes: dict[int, int], *, concerns: Sequence[Document] = ()) -> None:
        self._errors = [{"index": index, "code": code, "errmsg": "x"} for index, code in codes.items()]
        self._concerns = list(concerns)

    def insert_many(self, documents: Sequence[Document], *, ordered: bool) -> None:
        assert not ordered
        if self._errors or self._concerns:
            raise BulkWriteError({"writeErrors": self._errors, "writeConcernErrors": self._concerns})


def _insert(codes: dict[int, int], **options: Any) -> Inserted:
    return insert_new(cast(Collection[Document], Refusing(codes, **options)), DOCUMENTS)


def test_what_is_new_is_all_there() -> None:
    assert _insert({}) == Inserted()


def test_what_was_there_before_is_known() -> None:
    assert _insert({0: 11000, 2: 11000}) == Inserted(known=frozenset({"a", "c"}))


def test_what_cant_be_stored_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    assert _insert({0: 11000, 1: 121}) == Inserted(known=frozenset({"a"}), failed=frozenset({"b"}))
    assert "collection=emails code=121" in caplog.text


def test_a_write_that_a_majority_may_not_have_is_unknown_whatever_else_is_said() -> None:
    with pytest.raises(StoreOutcomeUnknown):
        _insert({0: 11000}, concerns=[{"code": 64, "errmsg": "waiting timed out"}])
