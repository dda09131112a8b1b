from delivery.domain.errors import NotStored
from delivery.domain.inserted import Inserted


def test_only_who_wrote_what_failed_hears_of_it() -> None:
    inserted = Inserted(known=frozenset({"known"}), failed=frozenset({"failed"}))
    assert isinstance(inserted.failure_of("failed"), NotStored)
    assert inserted.failure_of("known") is None
    assert inserted.failure_of("new") is None
