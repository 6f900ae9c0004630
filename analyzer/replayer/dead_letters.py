"""Dead letters: events that the server refused, with its words, in a file that can be repaired and replayed."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from analyzer.errors import Option, UsageError
from analyzer.replayer.chunk import Chunk
from analyzer.replayer.journal_file import family
from analyzer.replayer.outcome import Outcome


def dead_letters_path(journal: Path, named: Path | None) -> Path:
    """Return the file for dead letters: the one that is named, else one beside the journal.

    Raises:
        UsageError: it is a file of the journal.
    """
    path = named or journal.with_suffix(".dead-letters.ndjson")
    if any(os.path.realpath(path) == os.path.realpath(one) for one in family(journal)):
        raise UsageError(Option("dead_letters", str(path)), ": is the journal's own; name another file")
    return path


class DeadLetters:
    """Appends to an NDJSON file, a line an event: its keys and context, the `status` and the words (`error`).

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self.path, self.first, self._is_new = path, "", not path.exists()
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            why = f"cannot be written ({error.strerror}); name another file"
            raise UsageError(Option("dead_letters", str(path)), f": {why}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if self._is_new and not self.first:
            self.path.unlink(missing_ok=True)

    def put(self, chunk: Chunk, outcome: Outcome) -> None:
        """Write down the one event of a chunk and what the server said of it."""
        context = chunk.context
        named = {"teamId": context.team_id, "slug": context.slug, "ci": context.ci, "interactive": context.interactive}
        known = {name: value for name, value in named.items() if value is not None}
        said = {"status": outcome.status or 0, "error": outcome.words}
        self._append(json.dumps({**json.loads(chunk.text), **known, **said}, ensure_ascii=False) + "\n")
        self.first = self.first or f"{chunk.text} ({outcome.status} {outcome.words})"

    def _append(self, line: str) -> None:
        """Write a line whole, or nothing of it."""
        with self._lock:
            self._write(line.encode())

    def _write(self, data: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END) if self._file.seekable() else 0
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(end)
            raise OSError(error.errno, f"{self.path}: {error.strerror}, and no dead letter can be written") from None
