"""The progress of reading logs, drawn on stderr: bytes, events a second, time left."""

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from analyzer.archive.file import FileReport
from analyzer.archive.opening import Observer
from analyzer.readers.source import Sources

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REFRESH_SECONDS = 0.2
USUAL_EVENT_BYTES = 200
"""What an event takes in NDJSON: a first guess of their number."""


class Bar(Observer):
    """A bar over the bytes of all files; inside a file it moves by what DuckDB says of its query."""

    def __init__(self) -> None:
        columns = (
            TextColumn("reading"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._stopped = threading.Event()
        self._done = self._events = 0

    def start(self, sources: Sources, connection: "DuckDBPyConnection") -> None:
        """Begin to draw."""
        connection.execute("SET enable_progress_bar = true")
        connection.execute("SET enable_progress_bar_print = false")
        self._ahead = deque((file.name, file.path.stat().st_size) for file in sources.files if file.path.exists())
        self._task = self._bar.add_task("", total=sum(size for _, size in self._ahead), rate="")
        self._began = time.monotonic()
        self._bar.start()
        self._thread = threading.Thread(target=self._watch, args=(connection,), daemon=True)
        self._thread.start()

    def file(self, report: FileReport) -> None:
        """Move past a file, and those before it that were none to be read."""
        name = ""
        while self._ahead and name != report.name:
            name, size_bytes = self._ahead.popleft()
            self._done += size_bytes
        self._events += report.read
        self._show(self._done)

    def stop(self) -> None:
        """End, leaving nothing on the screen."""
        self._stopped.set()
        if hasattr(self, "_thread"):
            self._thread.join()
        self._bar.stop()

    def _watch(self, connection: "DuckDBPyConnection") -> None:
        """Follow DuckDB inside a file; it says how far its query is, which is how far it is in the file."""
        while not self._stopped.wait(REFRESH_SECONDS):
            percent = connection.query_progress()
            if percent > 0 and self._ahead:
                self._show(max(self._bar.tasks[0].completed, self._done + self._ahead[0][1] * percent / 100))

    def _show(self, done_bytes: float) -> None:
        """Draw; before a file is through, its events are taken to be as long as those before it."""
        seconds = max(time.monotonic() - self._began, 0.001)
        events = self._events * done_bytes / self._done if self._done else done_bytes / USUAL_EVENT_BYTES
        self._bar.update(self._task, completed=done_bytes, rate=f"~{events / seconds:,.0f} events/s")
