"""Chunks: the events of one request as JSON text, with the digests by which the journal knows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from analyzer.replayer.teams import Context

DIGEST_BYTES = 16
BRACKETS_BYTES = 2

# Written out rather than cast: how DuckDB prints a DOUBLE may change between versions, and with it every event's
# digest, so that a journal would no longer know what was sent. The formats of printf are fixed by the C standard.
DURATION_TEXT = """
CASE WHEN duration_ms = trunc(duration_ms) AND duration_ms < 9e15 THEN duration_ms::BIGINT::VARCHAR
     WHEN printf('%.15g', duration_ms)::DOUBLE = duration_ms THEN printf('%.15g', duration_ms)
     WHEN printf('%.16g', duration_ms)::DOUBLE = duration_ms THEN printf('%.16g', duration_ms)
     ELSE printf('%.17g', duration_ms) END
"""
"""SQL of the shortest of 15 to 17 significant digits that parse to exactly `duration_ms`; whole numbers as integers."""

# concat() skips a NULL, and with it the whole key of a duration that is unknown: the API refuses null.
EVENT_TEXT = f"""
concat('{{"sessionId":', to_json(s.session), ',"source":"', event_source(kind), '","event":"', event_result(kind),
       '","hash":', to_json(h.hash), ',"duration":' || {DURATION_TEXT}, '}}')
"""
"""SQL of an event as it is sent: the API's five keys in the order clients write them, no duration where unknown."""

JOIN_NAMES = "JOIN store.session s ON s.id = session_id JOIN store.hash h ON h.id = hash_id"
"""Joins the names that EVENT_TEXT needs to rows with session_id, hash_id, kind and duration_ms."""

EVENT_DIGEST = f"md5(({EVENT_TEXT}) || '#' || repeat)"
"""SQL of an event's id: the MD5 of its text and of which repeat it is within its file."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events of one context: their JSON text, a line each, and their digests one after another."""

    context: Context
    text: str
    digests: bytes

    @property
    def events(self) -> int:
        """The number of events."""
        return count_digests(self.digests)

    def body(self) -> bytes:
        """Return the body of the request: a JSON array."""
        return b"[" + self.text.replace("\n", ",").encode() + b"]"

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """Split into two, the first the larger by at most one event."""
        items, middle = self.text.split("\n"), (self.events + 1) // 2
        return self._slice(items, 0, middle), self._slice(items, middle, len(items))

    def split_around(self, index: int) -> tuple["Chunk", "Chunk", "Chunk"]:
        """Split into the events before an index, the one at it, and those after it."""
        items = self.text.split("\n")
        bounds = (0, index, index + 1, len(items))
        before, one, after = (self._slice(items, start, end) for start, end in pairwise(bounds))
        return before, one, after

    def split_to_fit(self, max_bytes: int) -> Iterator["Chunk"]:
        """Yield parts whose bodies have at most `max_bytes`; a larger event goes alone."""
        # A character has at most 4 bytes in UTF-8: most chunks need no encoding to know that they fit.
        if len(self.text) * 4 + BRACKETS_BYTES <= max_bytes or len(self.body()) <= max_bytes:
            yield self
            return
        items = self.text.split("\n")
        for start, end in spans([len(item.encode()) for item in items], max_bytes):
            yield self._slice(items, start, end)

    def _slice(self, items: list[str], start: int, end: int) -> "Chunk":
        digests = self.digests[start * DIGEST_BYTES : end * DIGEST_BYTES]
        return Chunk(self.context, "\n".join(items[start:end]), digests)


def spans(sizes: list[int], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the longest runs of items whose JSON array has at most `max_bytes`.

    >>> list(spans([4, 4, 9], 11))
    [(0, 2), (2, 3)]
    """
    start, total = 0, BRACKETS_BYTES
    for index, size in enumerate(sizes):
        added = size + (index > start)  # a comma before all but the first
        if index > start and total + added > max_bytes:
            yield start, index
            start, total, added = index, BRACKETS_BYTES, size
        total += added
    if sizes:
        yield start, len(sizes)


def split_digests(digests: bytes) -> Iterator[bytes]:
    """Yield single digests of concatenated ones."""
    return (digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES))


def count_digests(digests: bytes) -> int:
    """Return the number of concatenated digests."""
    return len(digests) // DIGEST_BYTES
