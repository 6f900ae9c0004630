"""A chunk: the events of one request, as the text that is sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from analyzer.replayer.teams import Context

DIGEST_BYTES = 16
AROUND_BYTES = 2
"""The brackets of the array."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events of one context: their JSON text, a line each, and their digests one after another."""

    context: Context
    text: str
    digests: bytes

    @property
    def events(self) -> int:
        """How many events it holds."""
        return len(self.digests) // DIGEST_BYTES

    def body(self) -> bytes:
        """Return the body of the request: a JSON array."""
        return b"[" + self.text.replace("\n", ",").encode() + b"]"

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """Split into two, the first the larger by at most one."""
        items, middle = self.text.split("\n"), (self.events + 1) // 2
        return self._part(items, 0, middle), self._part(items, middle, len(items))

    def apart(self, place: int) -> tuple["Chunk", "Chunk", "Chunk"]:
        """Split into the events before a place, the one there, and those after it."""
        items = self.text.split("\n")
        cuts = (0, place, place + 1, len(items))
        before, one, after = (self._part(items, start, end) for start, end in pairwise(cuts))
        return before, one, after

    def within(self, max_bytes: int) -> Iterator["Chunk"]:
        """Yield it in parts whose bodies have at most `max_bytes`; an event that is larger goes alone."""
        if len(self.text) * 4 + AROUND_BYTES <= max_bytes or len(self.body()) <= max_bytes:
            yield self
            return
        items = self.text.split("\n")
        for start, end in spans([len(item.encode()) for item in items], max_bytes):
            yield self._part(items, start, end)

    def _part(self, items: list[str], start: int, end: int) -> "Chunk":
        digests = self.digests[start * DIGEST_BYTES : end * DIGEST_BYTES]
        return Chunk(self.context, "\n".join(items[start:end]), digests)


def spans(sizes: list[int], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of items whose array has at most `max_bytes`, each run as long as it can be.

    >>> list(spans([4, 4, 9], 11))
    [(0, 2), (2, 3)]
    """
    start, taken = 0, AROUND_BYTES
    for place, size in enumerate(sizes):
        more = size + (place > start)
        if place > start and taken + more > max_bytes:
            yield start, place
            start, taken, more = place, AROUND_BYTES, size
        taken += more
    if sizes:
        yield start, len(sizes)
