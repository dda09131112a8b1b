"""What a run shows while it starts and stops: lines that move on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class RunProgress:
    """Observes a supervisor; use it as a context manager around a start or a stop."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._progress.stop()

    def starting(self, part: str) -> None:
        self._begin(part, f"starting {part}")

    def ready(self, part: str) -> None:
        self._end(part, f"{part} is ready")

    def stopping(self, part: str) -> None:
        self._begin(part, f"stopping {part}")

    def stopped(self, part: str) -> None:
        self._end(part, f"{part} has stopped")

    def _begin(self, part: str, text: str) -> None:
        self._began[part] = self._clock()
        if self._console.is_terminal:
            self._tasks[part] = self._progress.add_task(text, total=1)
        else:
            self._plain(f"{text} …")

    def _end(self, part: str, text: str) -> None:
        if self._console.is_terminal:
            self._progress.update(self._tasks[part], description=text, completed=1)
        else:
            self._plain(f"{text} ({self._clock() - self._began[part]:.1f} s)")

    def _plain(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
