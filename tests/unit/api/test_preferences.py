import pytest

from api.preferences import MAX_WAIT, wanted_wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ([], None),
        (["wait=2"], 2),
        (["wait=0"], 0),
        (["WAIT=2"], 2),
        ([" wait = 2 "], 2),
        (['wait="2"'], 2),
        (["respond-async, wait=2"], 2),
        (["respond-async", "wait=2"], 2),
        (["wait=2; foo=bar, handling=lenient"], 2),
        (["wait=2, wait=5"], 2),
        (["wait=60"], MAX_WAIT),
        (["wait=" + "9" * 5000], MAX_WAIT),
    ],
)
def test_a_wish_to_wait_is_read_and_cut_to_the_most(headers: list[str], wait: int | None) -> None:
    assert wanted_wait(headers) == wait


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "wait",
        "wait=",
        "wait=soon",
        "wait=-1",
        "wait=1.5",
        "wait=²",
        "waits=2",
        "return=minimal",
        "=2",
    ],
)
def test_what_cant_be_read_is_ignored(header: str) -> None:
    assert wanted_wait([header]) is None
