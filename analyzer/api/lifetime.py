"""Keeps the connection of a `Log` open until it is closed or no longer referenced."""

import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn

from analyzer.archive.open_log import OpenLog, create_view_relations
from analyzer.errors import UsageError

if TYPE_CHECKING:
    import polars as pl


class LogHandle:
    """An open log and the lock for its connection; another is held while lazy frames read.

    A `Log` and its lazy frames refer to the handle; when the last of them is gone, or the interpreter exits, it closes.
    """

    def __init__(self, stack: ExitStack, log: OpenLog) -> None:
        # A list that _close empties: a finalizer must not refer to the handle itself.
        self._log: list[OpenLog] = [log]
        self.lock = RLock()
        self._reading = RLock()
        self.close = weakref.finalize(self, _close, stack, self._log, (self.lock, self._reading))

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

    def read(self, sql: str, params: dict[str, Any]) -> "pl.DataFrame":
        """Return the rows of a query of the relations of the log's view. It waits for no question.

        Polars reads lazy frames in threads of its own, and may read on after it has what it needs; closing waits for
        what is being read.

        Raises:
            UsageError: the log is closed.
        """
        import polars as pl  # noqa: PLC0415  (only where a frame is read)

        with self._reading:
            log = self.log()
            with log.connection.cursor() as cursor:
                create_view_relations(cursor, log.view)
                return pl.DataFrame(cursor.sql(sql, params=params))


def _close(stack: ExitStack, log: list[OpenLog], locks: Iterable[AbstractContextManager[Any]]) -> None:
    with ExitStack() as held:
        for lock in locks:
            held.enter_context(lock)
        log.clear()
        stack.close()
