"""Defines chunks: the events of one request as JSON text, and the digests that identify them in the journal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from analyzer.replayer.teams import Context

DIGEST_BYTES = 16
BRACKETS_BYTES = 2

# Written out rather than cast: how DuckDB prints a DOUBLE may change between versions, and with it every event's
# digest: a journal would no longer recognize what was sent. The formats of printf are fixed by the C standard.
# The result is the shortest of 15 to 17 significant digits that parse to exactly `duration_ms`.
DURATION_TEXT = """
CASE WHEN duration_ms = trunc(duration_ms) AND duration_ms < 9e15 THEN duration_ms::BIGINT::VARCHAR
     WHEN printf('%.15g', duration_ms)::DOUBLE = duration_ms THEN printf('%.15g', duration_ms)
     WHEN printf('%.16g', duration_ms)::DOUBLE = duration_ms THEN printf('%.16g', duration_ms)
     ELSE printf('%.17g', duration_ms) END
"""

# An event as it is sent: the API's five keys in the order clients write them.
# concat() skips NULL, and with it the key of an unknown duration: the API refuses null.
EVENT_TEXT = f"""
concat('{{"sessionId":', to_json(s.session), ',"source":"', event_source(kind), '","event":"', event_result(kind),
       '","hash":', to_json(h.hash), ',"duration":' || {DURATION_TEXT}, '}}')
"""

# Joins the names that EVENT_TEXT needs to rows with session_id, hash_id, kind and duration_ms.
JOIN_NAMES = "JOIN store.session s ON s.id = session_id JOIN store.hash h ON h.id = hash_id"

# An event's identity: the MD5 of its text and its repeat number within its file.
EVENT_DIGEST = f"md5(({EVENT_TEXT}) || '#' || repeat)"


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

    def split(self, *indexes: int) -> list["Chunk"]:
        """Split before the events at `indexes`; a part may be empty."""
        items, size = self.text.split("\n"), DIGEST_BYTES
        return [
            Chunk(self.context, "\n".join(items[start:end]), self.digests[start * size : end * size])
            for start, end in pairwise((0, *indexes, self.events))
        ]

    def split_to_fit(self, max_bytes: int) -> list["Chunk"]:
        """Split into parts whose bodies have at most `max_bytes`; a larger event is a part alone."""
        # A character has at most 4 bytes in UTF-8: most chunks need no encoding to know that they fit.
        if len(self.text) * 4 + BRACKETS_BYTES <= max_bytes or len(self.body()) <= max_bytes:
            return [self]
        return self.split(*split_indexes([len(item.encode()) for item in self.text.split("\n")], max_bytes))


def split_indexes(sizes: Sequence[int], max_bytes: int) -> list[int]:
    """Return where to split items of these sizes so that each part's JSON array has at most `max_bytes`.

    >>> split_indexes([4, 4, 9], 11)
    [2]
    """
    indexes, total = [], BRACKETS_BYTES - 1  # an array has one comma less than items
    for index, size in enumerate(sizes):
        total += size + 1
        if index and total > max_bytes:
            indexes.append(index)
            total = BRACKETS_BYTES + size
    return indexes


def split_digests(digests: bytes) -> Iterator[bytes]:
    """Yield single digests of concatenated ones."""
    return (digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES))


def count_digests(digests: bytes) -> int:
    """Return the number of concatenated digests."""
    return len(digests) // DIGEST_BYTES
