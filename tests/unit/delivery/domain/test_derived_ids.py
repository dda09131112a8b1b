import uuid

from delivery.domain.derived_ids import derived_email_id


def test_the_same_parts_are_always_the_same_id() -> None:
    assert derived_email_id("default", "shop", "order-1") == derived_email_id("default", "shop", "order-1")
    assert derived_email_id("default", "example-service", "order-4711-confirmation") == (
        "47f1fea9-e882-8029-acc6-15e4bcdc2ef4"
    )


def test_other_parts_are_another_id_wherever_they_are_split() -> None:
    ids = [derived_email_id(*parts) for parts in (("a", "bc"), ("ab", "c"), ("abc",), ("bc", "a"))]
    assert len(set(ids)) == len(ids)


def test_it_is_a_uuid_that_says_how_it_was_made() -> None:
    made = uuid.UUID(derived_email_id("acme", "1"))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
