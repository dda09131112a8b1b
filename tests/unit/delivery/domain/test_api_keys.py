import secrets
from dataclasses import replace

import pytest

from delivery.domain.api_keys import ID_BYTES, SECRET_BYTES, ApiKey, hash_of, id_of, make_token
from delivery.domain.tenants import Scope
from tests.unit.delivery.builders import NOW, seconds

KEY_ID, TOKEN = make_token(bytes(range(ID_BYTES + SECRET_BYTES)))
KEY = ApiKey(
    key_id=KEY_ID,
    tenant_id="acme",
    name="billing",
    scopes=frozenset({Scope.SEND}),
    secret_hash=hash_of(TOKEN),
    created_at=NOW,
)


def test_a_token_begins_with_its_keys_id() -> None:
    assert KEY_ID == "pr_000102030405"
    assert TOKEN.startswith(f"{KEY_ID}_")
    assert id_of(TOKEN) == KEY_ID


def test_no_two_tokens_are_alike_and_all_can_be_read() -> None:
    tokens = [make_token(secrets.token_bytes(ID_BYTES + SECRET_BYTES)) for _ in range(200)]
    assert len({token for _, token in tokens}) == 200
    assert all(id_of(token) == key_id for key_id, token in tokens)


@pytest.mark.parametrize("length", [0, ID_BYTES + SECRET_BYTES - 1, ID_BYTES + SECRET_BYTES + 1])
def test_a_token_needs_all_its_random_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        make_token(bytes(length))


@pytest.mark.parametrize("token", ["", "pr_", KEY_ID, TOKEN[:-1], TOKEN + "A", f" {TOKEN}", TOKEN.upper()])
def test_anything_else_is_no_token(token: str) -> None:
    assert id_of(token) is None


def test_what_is_kept_does_not_tell_the_token() -> None:
    assert TOKEN.split("_")[2] not in repr(KEY)


def test_a_key_opens_with_its_token_alone() -> None:
    other = TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B")
    assert KEY.opens_with(TOKEN, NOW)
    assert not KEY.opens_with(other, NOW)
    assert not KEY.opens_with("\ud800", NOW)


def test_a_key_opens_until_it_expires() -> None:
    key = replace(KEY, expires_at=NOW + seconds(10))
    assert key.opens_with(TOKEN, NOW + seconds(9))
    assert not key.opens_with(TOKEN, NOW + seconds(10))


def test_a_revoked_key_opens_nothing() -> None:
    assert not replace(KEY, revoked_at=NOW).opens_with(TOKEN, NOW)
