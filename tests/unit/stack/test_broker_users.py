"""What is said when the preparation of a broker lacks something."""

import pytest

from stack.broker_users import main

COMPLETE = {
    "MANAGEMENT_URL": "http://127.0.0.1:1",
    "RABBITMQ_POSTROOM_PASSWORD": "a",
    "RABBITMQ_OPERATOR_PASSWORD": "b",
    "RABBITMQ_SERVICE_PASSWORD": "c",
}


@pytest.mark.parametrize("name", COMPLETE)
def test_a_variable_that_is_missing_is_named(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main({key: value for key, value in COMPLETE.items() if key != name}) == 1
    assert capsys.readouterr().err == f"broker users: {name} is not set\n"
