"""Free TCP ports on the loopback interface."""

import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def next_free(port: int, *, taken: set[int] | None = None) -> int:
    """`port`, or the first above it that is free and not in `taken`. Raises LookupError if there is none."""
    for candidate in range(port, 65_536):
        if candidate not in (taken or ()) and is_free(candidate):
            return candidate
    raise LookupError(f"no free port from {port} on")


def accepts(port: int) -> bool:
    """Whether something listens on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.5):
            return True
    except OSError:
        return False
