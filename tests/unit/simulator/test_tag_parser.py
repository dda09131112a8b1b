import pytest

from simulator.tag_parser import Tag, TagError, parse_recipient


@pytest.mark.parametrize("recipient", ["anna@example.com", "fault@example.com", "default+hang@example.com"])
def test_an_ordinary_address_has_no_tags(recipient: str) -> None:
    assert parse_recipient(recipient) == ()


@pytest.mark.parametrize(
    ("recipient", "tags"),
    [
        ("fault+hang@example.com", (Tag("hang", None),)),
        ("fault+hang.1@example.com", (Tag("hang", 1),)),
        ("fault+504-then-accept@example.com", (Tag("504-then-accept", 5),)),
        ("fault+504-then-accept.120@example.com", (Tag("504-then-accept", 120),)),
        ("fault+slow.0.5@example.com", (Tag("slow", 0.5),)),
        ("fault+webhook-dup@example.com", (Tag("webhook-dup", 2),)),
        ("fault+slow.2+webhook-dup.3@example.com", (Tag("slow", 2), Tag("webhook-dup", 3))),
    ],
)
def test_tags_are_read_from_the_local_part(recipient: str, tags: tuple[Tag, ...]) -> None:
    assert parse_recipient(recipient) == tags


def test_a_number_makes_an_address_unique_and_means_nothing() -> None:
    assert parse_recipient("fault+hang+n.1@example.com") == parse_recipient("fault+hang+n.22@example.com")


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        ("fault+hung@example.com", "unknown fault tag: 'hung'"),
        ("fault+Hang@example.com", "unknown fault tag: 'Hang'"),
        ("fault+@example.com", "unknown fault tag: ''"),
        ("fault+hang+@example.com", "unknown fault tag: ''"),
        ("fault+slow@example.com", "slow needs an argument: seconds"),
        ("fault+slow.x@example.com", "slow.x: the argument is seconds"),
        ("fault+slow.-1@example.com", "slow.-1: the argument is seconds"),
        ("fault+slow.@example.com", "slow.: the argument is seconds"),
        (f"fault+slow.{'9' * 5000}@example.com", "the argument is seconds"),
        ("fault+slow.1.2.3@example.com", "slow.1.2.3: the argument is seconds"),
        ("fault+error.0@example.com", "error.0: the argument is how many submissions"),
        ("fault+error.1.5@example.com", "error.1.5: the argument is how many submissions"),
        ("fault+error.²@example.com", "error.²: the argument is how many submissions"),
        ("fault+webhook-dup.101@example.com", "webhook-dup.101: the argument is how often"),
        ("fault+webhook-lost.2@example.com", "webhook-lost takes no argument"),
        ("fault+n.x@example.com", "n.x: the argument is a number"),
    ],
)
def test_a_mistaken_tag_is_refused_with_a_reason(recipient: str, reason: str) -> None:
    with pytest.raises(TagError) as refusal:
        parse_recipient(recipient)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    "tags", ["hang+error", "error+error.2", "webhook-lost+webhook-dup", "webhook-failed+webhook-rejected"]
)
def test_tags_that_contradict_each_other_are_refused(tags: str) -> None:
    with pytest.raises(TagError, match="contradict each other"):
        parse_recipient(f"fault+{tags}@example.com")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(TagError) as refusal:
        parse_recipient("fault+hung+slow+hang+error@example.com")
    assert refusal.value.mistakes == (
        "unknown fault tag: 'hung'",
        "slow needs an argument: seconds",
        "hang and error contradict each other",
    )


def test_a_count_wears_off_after_so_many_submissions() -> None:
    tag = Tag("error", 2)
    assert [tag.hits(submission=number) for number in (1, 2, 3)] == [True, True, False]


def test_without_a_count_a_tag_hits_always() -> None:
    assert Tag("error", None).hits(submission=1_000)


def test_seconds_are_no_count() -> None:
    assert Tag("504-then-accept", 1).hits(submission=1_000)
