"""What a command prints: a table for people, JSON for scripts."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_WIDEST = 10_000
"""Columns. A table is as wide as what is in it: of a key's id that is cut off nobody can copy the rest."""

Value = str | int | datetime | None | Sequence[str]


class Output:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(width=_WIDEST, soft_wrap=True, highlight=False, markup=False)

    def table(self, columns: Sequence[str], rows: Sequence[Mapping[str, Value]]) -> None:
        """columns: the keys of the rows, in the order in which people see them."""
        if self._as_json:
            self._print_json([{name: _for_scripts(row[name]) for name in columns} for row in rows])
            return
        self.rows_for_people(columns, rows)

    def rows_for_people(self, columns: Sequence[str], rows: Sequence[Mapping[str, Value]]) -> None:
        """A table that scripts don't get."""
        if self._as_json:
            return
        table = Table(*columns, box=None, header_style="bold")
        for row in rows:
            table.add_row(*(_for_people(row[name]) for name in columns))
        self._console.print(table)

    def one(self, values: Mapping[str, Value]) -> None:
        """One thing, a line each."""
        if self._as_json:
            self._print_json({name: _for_scripts(value) for name, value in values.items()})
            return
        width = max(len(name) for name in values)
        for name, value in values.items():
            self._console.print(f"{name:<{width}}  {_for_people(value)}")

    def say(self, text: str) -> None:
        """Something for people only."""
        if not self._as_json:
            self._console.print(text)

    @contextmanager
    def progress(self, what: str, *, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal's standard error; yields what is to be told how far it is."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
            task = bars.add_task(what, total=total)
            yield lambda reached: bars.update(task, completed=reached)

    def _print_json(self, value: object) -> None:
        self._console.print(json.dumps(value))


def _for_scripts(value: Value) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _for_people(value: Value) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ", ".join(value)
