"""How far a long run is: a bar in a terminal, elsewhere a line for each thing that is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Steps:
    """A piece of work of so many steps."""

    def __init__(self, console: Console, bar: Progress, total: float) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task("", total=total)

    def begin(self, what: str) -> None:
        """Say what is done now."""
        self._bar.update(self._task, description=what)

    def advance(self, steps: float = 1) -> None:
        """So much more is done."""
        self._bar.advance(self._task, steps)

    def say(self, line: str) -> None:
        """A result on the way, where no bar shows that it goes on."""
        if not self._console.is_terminal:
            self._console.print(line, markup=False, highlight=False)


@contextmanager
def steps(console: Console, total: float) -> Iterator[Steps]:
    """Show a bar while the work lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        yield Steps(console, bar, total)


def progress_bar(console: Console) -> Progress:
    """What shows how many of how many are done, and stays."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
