import socket

from stack.ports import accepts, is_free, next_free
from tests.harness.ports import free_ports


def test_a_port_on_which_something_listens_gives_way_to_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert accepts(port)
        assert not is_free(port)
        assert next_free(port) > port


def test_a_port_that_is_spoken_for_is_not_given_twice() -> None:
    (port,) = free_ports(1)

    assert next_free(port) == port
    assert next_free(port, taken={port}) > port


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20
