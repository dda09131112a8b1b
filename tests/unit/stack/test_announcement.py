import json
import shlex

from stack.announcement import curl_line
from stack.plan import without_login


def test_a_shell_reads_the_curl_line_as_a_valid_email() -> None:
    words = shlex.split(curl_line("http://127.0.0.1:8080", api_key=None))

    assert words[0] == "curl"
    assert "http://127.0.0.1:8080/send" in words
    assert set(json.loads(words[words.index("-d") + 1])) == {"sender", "recipient", "message"}
    assert not any("Authorization" in word for word in words)


def test_a_key_goes_into_the_curl_line_whatever_characters_it_has() -> None:
    words = shlex.split(curl_line("http://127.0.0.1:8080", api_key="it's a $key"))

    assert "Authorization: Bearer it's a $key" in words


def test_a_url_is_shown_without_its_login() -> None:
    assert without_login("amqp://user:p%40ss@broker:5672/mail?heartbeat=20") == (
        "amqp://broker:5672/mail?heartbeat=20"
    )
    assert without_login("http://127.0.0.1:8081") == "http://127.0.0.1:8081"
