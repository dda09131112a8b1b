import re

import pytest

from topology.permissions import service_permissions


def test_a_service_may_write_to_the_exchange_email_ingest_alone() -> None:
    write = service_permissions("shop").write
    assert re.search(write, "email.ingest")
    for other in (
        "amq.default",
        "email",
        "email.ingest.critical",
        "emailXingest",
        "delay.1s",
        "reply.shop.1",
    ):
        assert not re.search(write, other)


def test_a_service_owns_and_reads_its_reply_queues_alone() -> None:
    permissions = service_permissions("shop")
    for expression in (permissions.configure, permissions.read):
        assert re.search(expression, "reply.shop.1")
        for other in (
            "reply.shop",
            "reply.shop.",
            "reply.shop2.1",
            "xreply.shop.1",
            "email.ingest",
            "email.dead",
        ):
            assert not re.search(expression, other)


@pytest.mark.parametrize("user", ["", "shop.eu", "shop ", ".*", "a|b", "shop\n", "größe"])
def test_a_user_name_that_could_mean_more_than_itself_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        service_permissions(user)
