"""A topology as tables for a person: every entity, its arguments and why it is there."""

import io

from rich.console import Console
from rich.table import Table

from topology.definition import lane_queue
from topology.model import Arguments, Topology
from topology.permissions import OPERATOR, OPERATOR_TAGS, POSTROOM, Permissions, service_permissions


def show(topology: Topology, *, width: int = 160) -> str:
    """The tables as plain text, `width` characters wide."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False)
    for table in (_exchanges(topology), _queues(topology), _bindings(topology), _users()):
        console.print(table)
    return out.getvalue()


def _exchanges(topology: Topology) -> Table:
    table = _table("Exchanges (durable)", "name", "type", "arguments", "why")
    for exchange in topology.exchanges:
        table.add_row(exchange.name, exchange.type, _lines(exchange.arguments), exchange.why)
    return table


def _queues(topology: Topology) -> Table:
    table = _table("Queues (durable)", "name", "arguments", "why", lines=True)
    for queue in (*topology.queues, lane_queue("<lane>.<tenant>")):
        table.add_row(queue.name, _lines(queue.arguments), queue.why)
    return table


def _bindings(topology: Topology) -> Table:
    table = _table("Bindings", "exchange", "routing key", "queue")
    for binding in topology.bindings:
        table.add_row(binding.exchange, binding.routing_key, binding.queue)
    return table


def _users() -> Table:
    table = _table("Broker users", "user", "tags", "configure", "write", "read", "why")
    example = service_permissions("shop")
    _add_user(table, "postroom", "", POSTROOM, "Our own processes.")
    _add_user(
        table, "operators", " ".join(OPERATOR_TAGS), OPERATOR, "Look at messages and move dead letters."
    )
    _add_user(table, "a service, here shop", "", example, "Publishes to email.ingest, reads its replies.")
    return table


def _add_user(table: Table, user: str, tags: str, permissions: Permissions, why: str) -> None:
    table.add_row(user, tags, permissions.configure, permissions.write, permissions.read, why)


def _table(title: str, *columns: str, lines: bool = False) -> Table:
    table = Table(title=title, title_justify="left", show_lines=lines)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "arguments"))
    return table


def _lines(arguments: Arguments) -> str:
    return "\n".join(f"{name}: {value}" for name, value in arguments.items())
