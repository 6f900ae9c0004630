"""What a log holds open, and for how long."""

import weakref
from contextlib import AbstractContextManager, ExitStack
from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn

from analyzer.archive.open_log import OpenLog
from analyzer.archive.view import show_view
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class LogHandle:
    """What is open, until it is closed: lazy frames keep it alive, and the end of the program closes it."""

    def __init__(self, stack: ExitStack, found: OpenLog) -> None:
        self._open: list[OpenLog] = [found]
        self.lock = RLock()
        self.close = weakref.finalize(self, _close, stack, self._open, self.lock)

    def __reduce__(self) -> NoReturn:
        raise UsageError("a log is neither copied nor pickled; open its sources again with analyzer.load")

    @property
    def is_open(self) -> bool:
        """Whether it is open still."""
        return bool(self._open)

    def opened(self) -> OpenLog:
        """Return what is open."""
        if not self._open:
            raise UsageError("the log is closed; open it again with analyzer.load")
        return self._open[0]

    def forget(self) -> None:
        """Let go of what the last question made."""
        for found in self._open:
            found.drop_selections()

    def cursor(self) -> "DuckDBPyConnection":
        """Return a connection of its own to it, for who does not hold the lock; the same view answers."""
        found = self.opened()
        cursor = found.connection.cursor()
        show_view(cursor, found.view)
        return cursor


def _close(stack: ExitStack, found: list[OpenLog], lock: AbstractContextManager[Any]) -> None:
    with lock:
        found.clear()
        stack.close()
