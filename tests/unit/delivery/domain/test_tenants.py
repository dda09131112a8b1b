import pytest

from delivery.domain.emails import Content, EmailRequest
from delivery.domain.errors import NotAllowed
from delivery.domain.lanes import Lane
from delivery.domain.tenants import THE_DEFAULT, Caller, Scope, Tenant


def request(*, sender: str = "shop@acme.example", lane: Lane = Lane.BULK) -> EmailRequest:
    content = Content(sender=sender, recipient="ann@example.com", message="Hello")
    return EmailRequest(content=content, lane=lane)


@pytest.mark.parametrize("lane", list(Lane))
def test_a_tenant_that_nobody_limited_may_send_everything(lane: Lane) -> None:
    THE_DEFAULT.check(request(lane=lane, sender="anybody@example.com"))


def test_a_tenant_sends_in_its_own_lanes_only() -> None:
    tenant = Tenant(tenant_id="acme", lanes=frozenset({Lane.BULK}))
    tenant.check(request(lane=Lane.BULK))
    with pytest.raises(NotAllowed, match="lane critical is not among this tenant's lanes"):
        tenant.check(request(lane=Lane.CRITICAL))


@pytest.mark.parametrize(
    "sender", ["shop@acme.example", "SHOP@ACME.EXAMPLE", "a.b+c@acme.example", "one@other.example"]
)
def test_senders_may_be_addresses_or_patterns(sender: str) -> None:
    Tenant(tenant_id="acme", senders=("*@acme.example", "One@other.example")).check(request(sender=sender))


@pytest.mark.parametrize(
    "sender",
    [
        "shop@acme.example.com",
        "shop@sub.acme.example",
        "shop@notacme.example",
        "two@other.example",
        '"@acme.example"@evil.example',
    ],
)
def test_any_other_sender_is_refused_without_repeating_it(sender: str) -> None:
    tenant = Tenant(tenant_id="acme", senders=("*@acme.example", "one@other.example"))
    with pytest.raises(NotAllowed) as refused:
        tenant.check(request(sender=sender))
    assert str(refused.value) == "sender is not among this tenant's addresses"


@pytest.mark.parametrize(
    ("allowed", "sender"),
    [
        ("who?@acme.example", "whoa@acme.example"),
        ("[abc]@acme.example", "a@acme.example"),
        ("*@[acme].example", "x@a.example"),
        ("a.b@acme.example", "axb@acme.example"),
        ("kate@acme.example", "\u212aate@acme.example"),
    ],
)
def test_a_star_is_the_only_special_character(allowed: str, sender: str) -> None:
    with pytest.raises(NotAllowed):
        Tenant(tenant_id="acme", senders=(allowed,)).check(request(sender=sender))
    Tenant(tenant_id="acme", senders=(allowed,)).check(request(sender=allowed))


def test_letters_of_any_script_are_the_same_in_capitals() -> None:
    Tenant(tenant_id="acme", senders=("*@b\u00fccher.example",)).check(
        request(sender="A@B\u00dcCHER.example")
    )


def test_a_caller_needs_the_scope() -> None:
    caller = Caller(THE_DEFAULT, frozenset({Scope.READ}))
    caller.check(Scope.READ)
    with pytest.raises(NotAllowed, match="this key lacks the scope send"):
        caller.check(Scope.SEND)
