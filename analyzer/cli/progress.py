"""Progress bars on stderr: for reading logs, with bytes, events a second and time left; for the tasks of an engine."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from analyzer.archive.accounting import FileReport
from analyzer.archive.open_log import LoadObserver
from analyzer.readers.source import Sources

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REFRESH_SECONDS = 0.2
# The size of an event in NDJSON: an estimate for the rate until the first file is complete.
TYPICAL_EVENT_BYTES = 200


class ProgressBar(LoadObserver):
    """A bar over the bytes of all files; inside a file it moves with DuckDB's progress of the running query."""

    def __init__(self) -> None:
        columns = (
            TextColumn("reading"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._stopped = threading.Event()
        self._done_bytes = self._events = 0

    def start(self, sources: Sources, connection: "DuckDBPyConnection") -> None:
        """Draw the bar, and follow the connection's queries in a thread."""
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        self._pending = deque((file.name, file.size_bytes) for file in sources.files)
        self._task = self._bar.add_task("", total=sum(size for _, size in self._pending), rate="")
        self._started = time.monotonic()
        self._bar.start()
        self._thread = threading.Thread(target=self._follow_queries, args=(connection,), daemon=True)
        self._thread.start()

    def file(self, report: FileReport) -> None:
        """Move past a file, and past the files before it that were skipped."""
        name = "" if any(report.name == name for name, _ in self._pending) else report.name  # inside of a remote zip
        while self._pending and name != report.name:
            name, size_bytes = self._pending.popleft()
            self._done_bytes += size_bytes
        self._events += report.read
        self._draw(self._done_bytes)

    def stop(self) -> None:
        """Remove the bar from the screen."""
        self._stopped.set()
        if hasattr(self, "_thread"):
            self._thread.join()
        self._bar.stop()

    def _follow_queries(self, connection: "DuckDBPyConnection") -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            percent = connection.query_progress()
            if percent > 0 and self._pending:
                in_file = self._pending[0][1] * percent / 100
                # A file takes several queries, each from 0 to 100 %: the bar never moves back.
                self._draw(max(self._bar.tasks[0].completed, self._done_bytes + in_file))

    def _draw(self, done_bytes: float) -> None:
        seconds = max(time.monotonic() - self._started, 0.001)
        # Events of the current file are estimated from the size of those read before.
        events = self._events * done_bytes / self._done_bytes if self._done_bytes else done_bytes / TYPICAL_EVENT_BYTES
        self._bar.update(self._task, completed=done_bytes, rate=f"~{events / seconds:,.0f} events/s")


@contextmanager
def task_progress(*, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that draws how many tasks of an engine are done, and how many there are."""
    columns = (TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_shown) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
