"""Keeps the connection of a `Log` open until it is closed or no longer referenced."""

import weakref
from contextlib import AbstractContextManager, ExitStack
from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn

from analyzer.archive.open_log import OpenLog, create_view_relations
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class LogHandle:
    """An open log and the lock for its connection.

    A `Log` and its lazy frames refer to the handle; when the last of them is gone, or the interpreter exits, it closes.
    """

    def __init__(self, stack: ExitStack, log: OpenLog) -> None:
        # A list that _close empties: a finalizer must not refer to the handle itself.
        self._log: list[OpenLog] = [log]
        self.lock = RLock()
        self.close = weakref.finalize(self, _close, stack, self._log, self.lock)

    def __reduce__(self) -> NoReturn:
        raise UsageError("a log can be neither copied nor pickled; open its sources again with analyzer.load")

    @property
    def is_open(self) -> bool:
        """Whether the log has not been closed."""
        return bool(self._log)

    def log(self) -> OpenLog:
        """Return the open log, or raise UsageError if it is closed."""
        if not self._log:
            raise UsageError("the log is closed; open it again with analyzer.load")
        return self._log[0]

    def drop_selections(self) -> None:
        """Drop the temporary tables of the selections of the last question."""
        for log in self._log:
            log.drop_selections()

    def cursor(self) -> "DuckDBPyConnection":
        """Return a second connection to the log, with the relations of its view, for use without the lock."""
        log = self.log()
        cursor = log.connection.cursor()
        create_view_relations(cursor, log.view)
        return cursor


def _close(stack: ExitStack, log: list[OpenLog], lock: AbstractContextManager[Any]) -> None:
    with lock:
        log.clear()
        stack.close()
