"""What is wrong with a journal, found by reading all of it."""

from collections.abc import Iterator

from analyzer.replayer.chunk import DIGEST_BYTES
from analyzer.replayer.journal import STATES, Journal, split

PARTS = 16
ORPHANS = "SELECT chunk_id FROM outcome LEFT JOIN chunk ON id = chunk_id WHERE id IS NULL"


def journal_faults(journal: Journal) -> Iterator[str]:
    """Yield what is wrong; nothing where the journal is sound.

    Raises:
        JournalError: it cannot be read.
    """
    yield from (text for (text,) in journal.rows("PRAGMA integrity_check(10)") if text != "ok")
    for number, size in journal.rows("SELECT id, length(digests) FROM chunk"):
        if not size or size % DIGEST_BYTES:
            yield f"chunk {number}: broken digests"
    yield from (f"outcome of chunk {number}, which is not there" for (number,) in journal.rows(ORPHANS))
    for number, state in journal.rows("SELECT chunk_id, state FROM outcome"):
        if state not in STATES:
            yield f"chunk {number}: unknown state {state}"
    for (number,) in journal.rows("SELECT id FROM destination"):
        yield from _twice(journal, number)


def _twice(journal: Journal, destination_id: int) -> Iterator[str]:
    """Yield where an event of a destination stands in two chunks; sixteenth by sixteenth, to take less memory."""
    for part in range(PARTS):
        seen: set[bytes] = set()
        for _, digests in journal.known(destination_id):
            mine = [one for one in split(digests) if one[0] % PARTS == part]
            before = len(seen)
            seen.update(mine)
            if len(seen) != before + len(mine):
                yield f"destination {destination_id}: an event is counted twice"
                return
