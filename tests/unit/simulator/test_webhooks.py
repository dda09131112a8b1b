from simulator.webhooks import signature


def test_the_signature_is_that_of_rfc_4231() -> None:
    """Test case 2 of RFC 4231, section 4.3."""
    assert signature(secret=b"Jefe", body=b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
