"""Letters moved by "Move messages" of the management UI, with an operator's login: by a real shovel."""

from contextlib import closing

import pytest
import requests
from aio_pika.abc import AbstractMessage

from stack.management import Management
from tests.harness.amqp import AmqpClient, Outgoing
from tests.harness.broker import VirtualHost
from tests.integration.topology.waiting import take


@pytest.mark.parametrize("destination", ["email.requeue", "email.bulk"])
def test_dead_letters_arrive_unchanged(declared: VirtualHost, destination: str) -> None:
    letters = [
        Outgoing(
            body={"id": str(number), "gen": 3},
            message_id=f"letter-{number}",
            priority=number,
            headers={"reason": "attempts exhausted", "attempts": 7, "lane": "bulk"},
        )
        for number in range(5)
    ]
    declared.amqp.publish("email", "dead", letters)
    declared.move_messages("email.dead", destination)
    moved = [take(declared.amqp, destination) for _ in letters]
    assert {message.message_id: content(message) for message in moved} == {
        letter.message_id: content(letter.message()) for letter in letters
    }
    assert declared.depth("email.dead") == 0


def test_letters_moved_into_a_delay_end_in_unrouted_and_hold_up_no_retry(declared: VirtualHost) -> None:
    letters = [Outgoing(body={"id": str(number), "gen": 3}) for number in range(40)]
    declared.amqp.publish("email", "dead", letters)
    declared.move_messages("email.dead", "delay.1s")
    moved = {take(declared.amqp, "unrouted").body for _ in letters}
    assert moved == {letter.message().body for letter in letters}
    declared.amqp.publish("delay.1s", "bulk", [Outgoing(body=b"a retry")])
    assert take(declared.amqp, "email.bulk").body == b"a retry"


def test_what_was_unrouted_can_be_moved_into_ingest_and_is_still_its_services(declared: VirtualHost) -> None:
    with closing(AmqpClient(declared.service_url)) as service:
        service.publish("email.ingest", "blk.shop", [Outgoing(body=b"mistyped", user_id=declared.service)])
    declared.move_messages("unrouted", "email.ingest")
    message = take(declared.amqp, "email.ingest")
    assert (message.body, message.user_id) == (b"mistyped", declared.service)


def test_who_is_no_policymaker_moves_nothing(declared: VirtualHost, operator: Management) -> None:
    management = declared.server.management
    user = operator.request("GET", "whoami")["name"]
    management.put_user(user, "looks-only", tags=["management"])
    looker = Management(management.url, user, "looks-only")
    with pytest.raises(requests.HTTPError, match="401"):
        looker.request("PUT", "parameters", "shovel", declared.name, "move", json={"value": {}})


def content(message: AbstractMessage) -> tuple[object, ...]:
    """All that we put into a message. A quorum queue adds headers of its own, all of them x-."""
    ours = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
    return (message.body, message.priority, ours, message.content_type, message.delivery_mode)
