import pytest

from stack.settings import InvalidSettings, read_given


def test_nothing_is_given_by_an_empty_environment() -> None:
    given = read_given({"AMQP_URL": "", "API_PORT": ""})

    assert given.amqp_url is None
    assert given.api_port is None
    assert given.api_keys == ()


def test_several_keys_are_split_at_commas() -> None:
    assert read_given({"API_KEYS": "one, two,"}).api_keys == ("one", "two")


@pytest.mark.parametrize("text", ["web", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidSettings, match="API_PORT"):
        read_given({"API_PORT": text})
