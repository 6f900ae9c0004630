"""Writes dead letters, the events that the server refused, with its answer to an NDJSON file that can be replayed."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from analyzer.errors import Option, UsageError
from analyzer.replayer.chunk import Chunk
from analyzer.replayer.journal_file import journal_files
from analyzer.replayer.outcome import Outcome


def dead_letters_path(journal: Path, path: Path | None) -> Path:
    """Return `path`, by default a file beside the journal; raise UsageError if it is a file of the journal itself."""
    path = path or journal.with_suffix(".dead-letters.ndjson")
    if any(os.path.realpath(path) == os.path.realpath(file) for file in journal_files(journal)):
        raise UsageError(Option("dead_letters", str(path)), ": is a file of the journal; name another file")
    return path


class DeadLetters:
    """Appends a line per event: its keys and context, the HTTP `status` and the server's message as `error`."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self.path, self.first, self._is_new = path, "", not path.exists()
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            problem = f": cannot be written ({error.strerror}); name another file"
            raise UsageError(Option("dead_letters", str(path)), problem) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._is_new and not self.first:
            self.path.unlink(missing_ok=True)

    def write(self, chunk: Chunk, outcome: Outcome) -> None:
        """Append the one event of a chunk and the server's answer."""
        context = chunk.context
        fields = {"teamId": context.team_id, "slug": context.slug, "ci": context.ci, "interactive": context.interactive}
        fields = {name: value for name, value in fields.items() if value is not None}
        answer = {"status": outcome.status or 0, "error": outcome.message}
        line = json.dumps(json.loads(chunk.text) | fields | answer, ensure_ascii=False) + "\n"
        with self._lock:
            self._append(line.encode())
        self.first = self.first or f"{chunk.text} ({outcome.status} {outcome.message})"

    def _append(self, data: bytes) -> None:
        """Write a line whole or not at all: half a line would make the file unreadable as a log."""
        end = self._file.seek(0, os.SEEK_END) if self._file.seekable() else 0
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            with suppress(OSError):  # a pipe cannot be truncated
                self._file.truncate(end)
            problem = f"{self.path}: {error.strerror}; the dead letter cannot be written"
            raise OSError(error.errno, problem) from None
