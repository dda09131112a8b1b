import pytest

from stack.part import describe_exit


@pytest.mark.parametrize(
    ("status", "predicate"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "was killed by SIGKILL"),
        (-15, "was killed by SIGTERM"),
        (None, "was not started"),
    ],
)
def test_an_exit_status_reads_as_the_end_of_a_sentence(status: int | None, predicate: str) -> None:
    assert describe_exit(status) == predicate
