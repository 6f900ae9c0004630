"""Dead letters: events that the server refused, with its words, in a file that can be repaired and replayed."""

import json
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from analyzer.errors import UsageError
from analyzer.replay.chunk import Chunk
from analyzer.replay.outcome import Outcome


class DeadLetters:
    """Appends to an NDJSON file, a line an event: its keys and context, the `status` and the words (`error`).

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        self.first: list[str] = []
        try:
            self._file = path.open("a", encoding="utf-8") if path else None
        except OSError as error:
            raise UsageError(
                f"--dead-letters {path}: cannot be written ({error.strerror}); name another file"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def put(self, chunk: Chunk, outcome: Outcome) -> None:
        """Write down the one event of a chunk and what the server said of it."""
        context = chunk.context
        named = {"teamId": context.team_id, "slug": context.slug, "ci": context.ci, "interactive": context.interactive}
        known = {name: value for name, value in named.items() if value is not None}
        line = json.dumps(
            {**json.loads(chunk.text), **known, "status": outcome.status, "error": outcome.words}, ensure_ascii=False
        )
        if not self.first:
            self.first.append(f"{chunk.text}: {outcome.status} {outcome.words}")
        if self._file:
            self._file.write(line + "\n")
            self._file.flush()
