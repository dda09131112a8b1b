from hypothesis import given
from hypothesis import strategies as st

from delivery.domain.emails import Content

TEXTS = st.text(st.characters(codec="utf-8"))


@given(TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.lists(TEXTS, max_size=3))
def test_a_contents_size_is_that_of_its_texts_in_utf_8(
    message: str, text: str | None, html: str | None, values: list[str]
) -> None:
    content = Content(
        sender="a@example.com",
        recipient="b@example.com",
        message=message,
        text=text,
        html=html,
        headers=tuple(("X-Name", value) for value in values),
    )
    assert content.size == len("".join([message, text or "", html or "", *values]).encode())
