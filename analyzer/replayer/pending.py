"""Which events are to be sent, in what order, and which of them the journal knows already.

An event is known by its content, (sessionId, source, event, hash, duration, which repeat), at a destination: the MD5
of its JSON text and the repeat's number (see `identity`; `made` for those with another name). Repeats are counted
within a file, so that what stands in two overlapping logs is one event. All of it is worked out by DuckDB, which
spills to disk: a selection may be larger than memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analyzer.archive.selection import LookupsQuery, Selection, fetch_rows, select_lookups
from analyzer.errors import Option, UsageError
from analyzer.replayer.chunk import AROUND_BYTES, Chunk, spans
from analyzer.replayer.event_id import DIGEST, ITEM, NAMED
from analyzer.replayer.journal import CONFIRMED, UNCERTAIN, split
from analyzer.replayer.made import Made, find
from analyzer.replayer.options import CHUNK_EVENTS, MAX_BYTES
from analyzer.replayer.teams import Context, Overrides, TeamName, Teams, distinct_contexts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SLICE_EVENTS = 50_000

CONTEXTS = "SELECT id, team_id, slug, ci, interactive FROM store.context ORDER BY id"

# A file's events keep their order; files follow each other by their first event.
FILES = """
CREATE OR REPLACE TEMP TABLE replay_file AS
SELECT file_id, coalesce(sum(positions) OVER (ORDER BY first_at NULLS LAST, file_id
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::BIGINT AS base
FROM (SELECT file_id, max(position) AS positions, min(happened_at) AS first_at FROM event GROUP BY file_id)
"""

# Of all events, whatever the filters choose: an event keeps its number.
REPEATS = """
CREATE OR REPLACE TEMP TABLE numbered AS
SELECT file_id, position, row_number() OVER (
    PARTITION BY file_id, destination, session_id, hash_id, kind, duration_ms ORDER BY position) - 1 AS repeat
FROM event JOIN target USING (context_id)
"""

SELECTED = """
CREATE OR REPLACE TEMP TABLE selected AS
SELECT destination, session_id, hash_id, kind, duration_ms, repeat, min(place * {targets} + target) // {targets} AS place,
       (min(place * {targets} + target) % {targets})::INTEGER AS target, count(*)::INTEGER AS copies,
       min(happened_at) AS first_at, max(happened_at) AS last_at
FROM (SELECT t.destination, t.target, session_id, hash_id, kind, duration_ms, {repeat} AS repeat,
             f.base + e.position AS place, happened_at
      FROM ({events}) e JOIN target t USING (context_id) JOIN replay_file f USING (file_id) {numbered} {chosen}
      {missing})
GROUP BY ALL
"""  # noqa: E501  (a column a line, or nearly)

# Of a request that failed a client sends the events again: the log has them twice, and the server once.
ARRIVED = """
CREATE OR REPLACE TEMP TABLE arrived AS
SELECT DISTINCT destination, session_id, hash_id, kind, duration_ms
FROM event JOIN target USING (context_id) WHERE status BETWEEN 200 AND 299
"""

SAME_AS_ARRIVED = """
JOIN arrived a ON a.destination = t.destination AND a.session_id = e.session_id AND a.hash_id = e.hash_id
              AND a.kind = e.kind AND a.duration_ms IS NOT DISTINCT FROM e.duration_ms
"""

TAKEN_LATER = """
SELECT count(*) FROM (
    SELECT DISTINCT t.destination, e.session_id, e.hash_id, e.kind, e.duration_ms
    FROM ({events}) e JOIN target t USING (context_id) {chosen} SEMI {arrived})
"""

LIMITED = "CREATE OR REPLACE TEMP TABLE selected AS FROM selected ORDER BY place LIMIT $limit"

KNOWN = """
INSERT INTO known SELECT $destination, $state, unnest($digests::VARCHAR[])
"""

UNSURE = "unsure"
"""The state of events that were sent under a name that is of two teams: to this one, perhaps."""

# By their names the least of the states is the one that is surer.
KNOWN_ONCE = """
CREATE OR REPLACE TEMP TABLE known AS SELECT destination, min(state) AS state, digest FROM known GROUP BY ALL
"""

NOTHING_KNOWN = "CREATE OR REPLACE TEMP TABLE known (destination INTEGER, state VARCHAR, digest VARCHAR)"

COMPARED = f"""
CREATE OR REPLACE TEMP TABLE compared AS
SELECT e.*, least(k.state, d.state) AS state, k.state IS NULL AND d.state IS NOT NULL AS made
FROM selected e LEFT JOIN delivered d USING (destination, session_id, hash_id, kind, repeat)
{NAMED} LEFT JOIN known k ON k.destination = e.destination AND k.digest = {DIGEST}
"""

MARKED = "CREATE OR REPLACE TEMP VIEW marked AS FROM compared"
MARKED_TO_RESEND = f"""
CREATE OR REPLACE TEMP VIEW marked AS SELECT * REPLACE (nullif(state, '{UNCERTAIN}') AS state) FROM compared
"""
UNMARKED = "CREATE OR REPLACE TEMP VIEW marked AS SELECT *, NULL::VARCHAR AS state FROM selected"

OF_MADE = """
SELECT count(*) FILTER (state = $confirmed), count(*) FILTER (state = $uncertain) FROM compared WHERE made
"""

COUNTS = """
SELECT destination, coalesce(state, 'unsent'), count(*), sum(copies)::BIGINT FROM {marked} GROUP BY ALL ORDER BY ALL
"""

PENDING = """
CREATE OR REPLACE TEMP TABLE pending AS
SELECT target, session_id, hash_id, kind, duration_ms, repeat FROM marked WHERE state IS NULL ORDER BY target, place
"""

RANGES = "SELECT target, min(rowid), count(*) FROM pending GROUP BY target ORDER BY target"

TEXTS = f"""
SELECT place, item, md5(item || '#' || repeat) AS digest FROM (
    SELECT p.rowid AS place, repeat, {ITEM} AS item
    FROM pending p {NAMED} WHERE p.rowid >= $start AND p.rowid < $end)
"""

LENGTHS = f"""
SELECT target, count(*), sum(bytes)::BIGINT, max(bytes) FROM (
    SELECT target, strlen({ITEM}) AS bytes FROM marked {NAMED} WHERE state IS NULL) GROUP BY target ORDER BY target
"""

ITEM_LENGTHS = f"""
SELECT strlen({ITEM}) FROM pending p {NAMED} WHERE p.rowid >= $start AND p.rowid < $end ORDER BY p.rowid
"""

SPAN = """
SELECT min(first_at), max(last_at), count(DISTINCT session_id) FROM marked WHERE state IS NULL
"""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What is to be sent, and how: the selection, whose, and how large chunks are."""

    selection: Selection
    overrides: Overrides = field(default_factory=Overrides)
    limit: int | None = None
    keep_repeats: bool = False
    chunk_events: int = CHUNK_EVENTS
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Events of the selection by what the journal knows of them."""

    confirmed: int = 0
    dead_lettered: int = 0
    uncertain: int = 0
    unsent: int = 0

    @property
    def selected(self) -> int:
        """All of them."""
        return self.confirmed + self.dead_lettered + self.uncertain + self.unsent


class PendingEvents:
    """The selected events, in the temporary tables of an open archive or of logs read just now."""

    def __init__(self, connection: "DuckDBPyConnection", wanted: ReplayRequest, known: Iterable[TeamName] = ()) -> None:
        self.connection, self.wanted, self.made = connection, wanted, Made()
        self.arrived = self.known = self.unsure = self.kept = 0
        self._target(known)
        self._select()

    def _target(self, known: Iterable[TeamName]) -> None:
        """Find the contexts that events are sent with, and the teams they go to, by all the names that are known."""
        logged = {number: Context(*context) for number, *context in self.connection.execute(CONTEXTS).fetchall()}
        sent = {number: self.wanted.overrides.apply(context) for number, context in logged.items()}
        self.contexts = distinct_contexts(sent.values())
        self._names = dict.fromkeys(context.named for context in (*self.contexts, *logged.values()))
        self.names = Teams([*known, *self._names])
        self.team_of = self.names.of
        self.teams = sorted({self.team_of(context.named) for context in self.contexts})
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE target (context_id INTEGER, target INTEGER, destination INTEGER)"
        )
        for number, context in sent.items():
            values = [number, self.contexts.index(context), self.teams.index(self.team_of(context.named))]
            self.connection.execute("INSERT INTO target VALUES (?, ?, ?)", values)

    def _select(self) -> None:
        self.connection.execute(FILES)
        if self.wanted.keep_repeats:
            self.connection.execute(REPEATS)
        selected = select_lookups(self.connection, self.wanted.selection)
        chosen = (
            f"SEMI JOIN ({selected.sql}) USING (session_id, hash_id)" if self.wanted.selection != Selection() else ""
        )
        sql = SELECTED.format(
            targets=max(len(self.contexts), 1),
            repeat="repeat" if self.wanted.keep_repeats else "0::BIGINT",
            numbered="JOIN numbered USING (file_id, position)" if self.wanted.keep_repeats else "",
            events=selected.events,
            chosen=chosen,
            missing=self._without_arrived(selected, chosen) if self._wants_missing else "",
        )
        fetch_rows(self.connection, sql, selected.parameters)
        if self.wanted.limit is not None:
            self.connection.execute(LIMITED, {"limit": self.wanted.limit})
        self.connection.execute(NOTHING_KNOWN)

    @property
    def _wants_missing(self) -> bool:
        return self.wanted.selection.status == "failed" and not self.wanted.keep_repeats

    def _without_arrived(self, selected: LookupsQuery, chosen: str) -> str:
        """Return the SQL that leaves out what arrived with another request; note how many events that are."""
        self.connection.execute(ARRIVED)
        again = TAKEN_LATER.format(events=selected.events, chosen=chosen, arrived=SAME_AS_ARRIVED)
        self.arrived = fetch_rows(self.connection, again, selected.parameters)[0][0]
        return f"ANTI {SAME_AS_ARRIVED}"

    def selected_names(self) -> list[TeamName]:
        """Return the teams that selected events go to, by all the names that the log has for them."""
        teams = {self.teams[place] for (place,) in self._rows("SELECT DISTINCT destination FROM selected")}
        return [named for named in self._names if self.team_of(named) in teams]

    def know(self, known: Iterable[tuple[str, str, bytes]], *, once: bool) -> None:
        """Take in what the journal knows: (team, state, digests); `once` where no event is known twice.

        A state may be `UNSURE` too: sent to what may have been the team.
        """
        self.connection.execute(NOTHING_KNOWN)
        for team, state, digests in _gathered(known):
            values = {"destination": self.teams.index(team), "state": state}
            self.connection.execute(KNOWN, values | {"digests": [digest.hex() for digest in split(digests)]})
        if not once:
            self.connection.execute(KNOWN_ONCE)

    def mark(self, *, resend: bool = False) -> dict[str, StateCounts]:
        """Find what is known of each event, and return the events of each team by that; note what the filters keep.

        With `resend`, uncertain events are to be sent too.
        """
        known = self._rows("SELECT count(*) FROM known")[0][0]
        self.known = self._rows(f"SELECT count(*) FROM known WHERE state <> '{UNSURE}'")[0][0]
        if known:
            find(self.connection, resend=resend)
            self.connection.execute(COMPARED)
            self.made = Made(*self._rows(OF_MADE, {"confirmed": CONFIRMED, "uncertain": UNCERTAIN})[0])
        self.connection.execute((MARKED_TO_RESEND if resend else MARKED) if known else UNMARKED)
        counts: dict[str, dict[str, int]] = {team: {} for team in self.teams}
        self.kept = self.unsure = 0
        for destination, state, events, copies in self._rows(COUNTS.format(marked="compared" if known else "marked")):
            name = UNCERTAIN if state == UNSURE else state
            counts[self.teams[destination]][name] = counts[self.teams[destination]].get(name, 0) + events
            self.unsure += events if state == UNSURE else 0
            self.kept += copies
        return {team: StateCounts(**found) for team, found in counts.items() if found}

    def lengths(self) -> dict[int, tuple[int, int, int]]:
        """Return, by the place of the context, the events to be sent, the bytes of their items, those of the largest.

        Raises:
            UsageError: one event alone is larger than a chunk may be.
        """
        found = {target: (n, size, most) for target, n, size, most in self._rows(LENGTHS)}
        largest = max((most for _, _, most in found.values()), default=0) + AROUND_BYTES
        if largest > self.wanted.max_bytes:
            raise UsageError(
                Option("max_bytes", self.wanted.max_bytes),
                f": one event alone takes {largest}; allow that at least",
            )
        return found

    def span(self) -> tuple[Any, Any, int]:
        """Return the times of the first and the last event to be sent, and the number of sessions."""
        first, last, sessions = self._rows(SPAN)[0]
        return first, last, sessions

    def _rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def chunk_sizes(self) -> Iterator[tuple[int, int]]:
        """Yield (place of the context, bytes of the body) of each chunk, as `chunks` cuts them."""
        for target, start, end in self._slices():
            sizes = [size for (size,) in self._rows(ITEM_LENGTHS, {"start": start, "end": end})]
            for first in range(0, len(sizes), self.wanted.chunk_events):
                group = sizes[first : first + self.wanted.chunk_events]
                for low, high in spans(group, self.wanted.max_bytes):
                    yield target, sum(group[low:high]) + (high - low - 1) + AROUND_BYTES

    def chunks(self) -> Iterator[Chunk]:
        """Yield what is to be sent, context by context, in the order of the logs."""
        import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

        self.connection.execute("SET threads = 1")  # the sender needs the others
        for target, start, end in self._slices():
            rows = self.connection.sql(TEXTS, params={"start": start, "end": end})
            events = pl.DataFrame(rows).sort("place")
            for first in range(0, len(events), self.wanted.chunk_events):
                text, digests = (
                    events[column].slice(first, self.wanted.chunk_events).str.join(between).item()
                    for column, between in (("item", "\n"), ("digest", ""))
                )
                yield from Chunk(self.contexts[target], text, bytes.fromhex(digests)).within(self.wanted.max_bytes)

    def _slices(self) -> Iterator[tuple[int, int, int]]:
        """Yield (place of the context, first row, end) of slices of whole chunks."""
        self.connection.execute(PENDING)
        step = max(SLICE_EVENTS // self.wanted.chunk_events, 1) * self.wanted.chunk_events
        for target, first, count in self._rows(RANGES):
            for start in range(first, first + count, step):
                yield target, start, min(start + step, first + count)


GATHERED_BYTES = 1 << 20


def _gathered(known: Iterable[tuple[str, str, bytes]]) -> Iterator[tuple[str, str, bytes]]:
    """Join the digests of many chunks: a file each of them would be slow."""
    waiting: dict[tuple[str, str], bytearray] = {}
    for team, state, digests in known:
        gathered = waiting.setdefault((team, state), bytearray())
        gathered += digests
        if len(gathered) >= GATHERED_BYTES:
            yield team, state, bytes(gathered)
            gathered.clear()
    yield from ((team, state, bytes(gathered)) for (team, state), gathered in waiting.items() if gathered)
