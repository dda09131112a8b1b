"""`python -m stack.broker_users`: users and permissions on a broker that is not ours to start.

It reads MANAGEMENT_URL, the passwords RABBITMQ_POSTROOM_PASSWORD (an administrator who exists already),
RABBITMQ_OPERATOR_PASSWORD and RABBITMQ_SERVICE_PASSWORD, and waits until the broker answers. Safe to repeat:
a changed password of operator or service is set anew.
"""

import os
import sys
import time
from collections.abc import Mapping

import requests

from stack.management import Management, put_operator, put_postroom, put_service
from stack.plan import OPERATOR_USER, POSTROOM_USER, SERVICE_USER, VHOST

WAIT_SECONDS = 120.0


def main(environ: Mapping[str, str]) -> int:
    """Returns the exit status: 0, or 1 with a line that says what is wrong."""
    try:
        management = Management(
            environ["MANAGEMENT_URL"], POSTROOM_USER, environ["RABBITMQ_POSTROOM_PASSWORD"]
        )
        operator, service = environ["RABBITMQ_OPERATOR_PASSWORD"], environ["RABBITMQ_SERVICE_PASSWORD"]
    except KeyError as missing:
        return _fail(f"{missing.args[0]} is not set")
    if not _answers(management):
        return _fail(
            f"no RabbitMQ at {management.url} takes the login of {POSTROOM_USER}. A password changed after "
            "the broker's first start must be changed there too: rabbitmqctl change_password"
        )
    try:
        put_postroom(management, vhost=VHOST, user=POSTROOM_USER)
        put_operator(management, vhost=VHOST, user=OPERATOR_USER, password=operator)
        put_service(management, vhost=VHOST, user=SERVICE_USER, password=service)
    except requests.RequestException as error:
        return _fail(f"the broker refused: {error}")
    print(f"users {POSTROOM_USER}, {OPERATOR_USER} and {SERVICE_USER} are on the virtual host {VHOST}")
    return 0


def _answers(management: Management) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while not management.answers():
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def _fail(reason: str) -> int:
    print(f"broker users: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
