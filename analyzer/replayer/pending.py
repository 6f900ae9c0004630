"""Selects the events to send, matches them with those in the journal, and cuts the unsent ones into chunks.

An event is identified by its team and content: sessionId, source, event, hash, duration and repeat number, see
EVENT_DIGEST. Repeats are counted within a file, so that an event in two overlapping logs is one event. DuckDB does all
of it and spills to disk: a selection may be larger than memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from analyzer.archive.selection import Selection, fetch_rows, select_lookups
from analyzer.errors import Option, UsageError
from analyzer.replayer import chunk
from analyzer.replayer.chunk import BRACKETS_BYTES, EVENT_DIGEST, EVENT_TEXT, JOIN_NAMES, Chunk
from analyzer.replayer.journal import CONFIRMED, DEAD_LETTERED, UNCERTAIN
from analyzer.replayer.options import DEFAULTS, ReplayOptions
from analyzer.replayer.teams import Context, TeamName, Teams, request_context

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SLICE_EVENTS = 50_000
BATCH_BYTES = 1 << 20

# The state of events that were sent under a slug that two teams have, so perhaps to this team.
UNCLEAR_TEAM = "unclear_team"
CONTEXTS = "SELECT id, team_id, slug, ci, interactive FROM store.context ORDER BY id"

# A file's events keep their order; files follow each other by their first event.
FILE_ORDER = """
CREATE TEMP TABLE file_order AS
SELECT file_id, coalesce(sum(positions) OVER (ORDER BY first_at NULLS LAST, file_id
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::BIGINT AS base
FROM (SELECT file_id, max(position) AS positions, min(happened_at) AS first_at FROM event GROUP BY file_id)
"""

# Over all events rather than the selected ones, so that an event keeps its number under other filters.
REPEAT_NUMBERS = """
CREATE TEMP TABLE repeat_number AS
SELECT file_id, position, row_number() OVER (
    PARTITION BY file_id, team_index, session_id, hash_id, kind, duration_ms ORDER BY position) - 1 AS repeat
FROM event JOIN request_context USING (context_id)
"""

# The earliest copy of an event decides its place and its context: both are packed into one number for min().
SELECTED = """
CREATE TEMP TABLE selected_event AS
SELECT team_index, session_id, hash_id, kind, duration_ms, repeat,
       min(place * {contexts} + context_index) // {contexts} AS place,
       (min(place * {contexts} + context_index) % {contexts})::INTEGER AS context_index,
       count(*)::INTEGER AS copies, min(happened_at) AS first_at, max(happened_at) AS last_at
FROM (SELECT c.team_index, c.context_index, session_id, hash_id, kind, duration_ms, {repeat} AS repeat,
             o.base + e.position AS place, happened_at
      FROM ({events}) e JOIN request_context c USING (context_id) JOIN file_order o USING (file_id)
      {repeat_numbers} {lookups})
GROUP BY ALL
"""

# A client sends the events of a failed request again: the log then has them twice, but the server once.
DELETE_ARRIVED = """
DELETE FROM selected_event s
USING (SELECT DISTINCT team_index, session_id, hash_id, kind, duration_ms
       FROM event JOIN request_context USING (context_id) WHERE status BETWEEN 200 AND 299) a
WHERE a.team_index = s.team_index AND a.session_id = s.session_id AND a.hash_id = s.hash_id AND a.kind = s.kind
  AND a.duration_ms IS NOT DISTINCT FROM s.duration_ms
"""

LIMIT = "CREATE OR REPLACE TEMP TABLE selected_event AS FROM selected_event ORDER BY place LIMIT $limit"

JOURNAL_EVENTS = "CREATE TEMP TABLE journal_event (team_index INTEGER, state VARCHAR, digest VARCHAR)"
INSERT_JOURNAL_EVENTS = "INSERT INTO journal_event SELECT $team_index, $state, unnest($digests::VARCHAR[])"

# An event recorded under two names of a team has the more certain of both states.
BY_CERTAINTY = [CONFIRMED, DEAD_LETTERED, UNCERTAIN, UNCLEAR_TEAM]
DISTINCT_JOURNAL_EVENTS = f"""
CREATE OR REPLACE TEMP TABLE journal_event AS
SELECT team_index, arg_min(state, list_position({BY_CERTAINTY}, state)) AS state, digest FROM journal_event GROUP BY ALL
"""
COUNT_JOURNAL_EVENTS = f"SELECT count(*), count(*) FILTER (state <> '{UNCLEAR_TEAM}') FROM journal_event"

MATCHED = f"""
CREATE TEMP TABLE event_state AS
SELECT e.*, j.state FROM selected_event e {JOIN_NAMES}
LEFT JOIN journal_event j ON j.team_index = e.team_index AND j.digest = {EVENT_DIGEST}
"""
# Without a journal nothing is matched: a copy of a large selection would cost seconds.
UNSENT = "CREATE TEMP VIEW event_state AS SELECT *, NULL::VARCHAR AS state FROM selected_event"
SENDABLE = "CREATE TEMP VIEW sendable_event AS FROM event_state WHERE state IS NULL"
RESENDABLE = f"{SENDABLE} OR state = '{UNCERTAIN}'"

# In the order of StateCounts. Each event has exactly one of the first four: they must add up to the selection.
COUNTS = f"""
SELECT team_index, count(*) FILTER (state = '{CONFIRMED}'), count(*) FILTER (state = '{DEAD_LETTERED}'),
       count(*) FILTER (state NOT IN ('{CONFIRMED}', '{DEAD_LETTERED}')), count(*) FILTER (state IS NULL),
       count(*) FILTER (state = '{UNCLEAR_TEAM}'), sum(copies)::BIGINT
FROM event_state GROUP BY ALL ORDER BY ALL
"""

PENDING = """
CREATE OR REPLACE TEMP TABLE pending_event AS
SELECT context_index, session_id, hash_id, kind, duration_ms, repeat FROM sendable_event ORDER BY context_index, place
"""
CONTEXT_RANGES = "SELECT context_index, min(rowid), count(*) FROM pending_event GROUP BY ALL ORDER BY ALL"
PENDING_TEXTS = f"""
SELECT p.rowid AS place, repeat, {EVENT_TEXT} AS text
FROM pending_event p {JOIN_NAMES} WHERE p.rowid >= $start AND p.rowid < $end
"""
TEXTS = f"SELECT place, text, md5(text || '#' || repeat) AS digest FROM ({PENDING_TEXTS})"
TEXT_SIZES = f"SELECT strlen(text) FROM ({PENDING_TEXTS}) ORDER BY place"

CONTEXT_SIZES = f"""
SELECT context_index, count(*), sum(bytes)::BIGINT, max(bytes)
FROM (SELECT context_index, strlen({EVENT_TEXT}) AS bytes FROM sendable_event {JOIN_NAMES}) GROUP BY ALL ORDER BY ALL
"""
SPAN = "SELECT min(first_at), max(last_at), count(DISTINCT session_id) FROM sendable_event"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which events are sent, and how; `default_team` is the team of events without one in the log."""

    selection: Selection
    options: ReplayOptions = DEFAULTS
    default_team: TeamName = ("", "")


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Events of the selection by their state in the journal."""

    confirmed: int
    dead_lettered: int
    uncertain: int
    unsent: int

    @property
    def selected(self) -> int:
        """The sum of all states."""
        return self.confirmed + self.dead_lettered + self.uncertain + self.unsent


class PendingEvents:
    """The selected events, in temporary tables of an open log; `names` are the team names in the journal.

    `kept_events` counts the log's events that the filters select, repeats included; `arrived_events` those left out
    because another request delivered them; `journal_events` the teams' events in the journal; `unclear_events` those
    that may have been sent to this team under a slug that two teams have, and are uncertain therefore.
    """

    def __init__(self, connection: "DuckDBPyConnection", request: ReplayRequest, names: Iterable[TeamName]) -> None:
        self.connection, self.request = connection, request
        self.arrived_events = self.journal_events = self.unclear_events = self.kept_events = 0
        self._find_contexts(names)
        self._select()

    def _find_contexts(self, names: Iterable[TeamName]) -> None:
        """Find the contexts that events are sent with and their teams, by the names in the log and the journal."""
        options, default_team = self.request.options, self.request.default_team
        logged = {context_id: Context(*values) for context_id, *values in self._rows(CONTEXTS)}
        sent = {context_id: request_context(context, options, default_team) for context_id, context in logged.items()}
        self.contexts = sorted(
            set(sent.values()), key=lambda c: (c.slug or c.team_id or "", c.team_name, c.ci or "", str(c.interactive))
        )
        self._names = dict.fromkeys(context.team_name for context in (*self.contexts, *logged.values()))
        self.names = Teams([*names, *self._names])
        self.team_of = self.names.team_of
        self.teams = sorted({self.team_of(context.team_name) for context in self.contexts})
        kind = "VARCHAR" if any(isinstance(context_id, str) for context_id in sent) else "INTEGER"  # of a lake: names
        columns = f"context_id {kind}, context_index INTEGER, team_index INTEGER"
        self.connection.execute(f"CREATE TEMP TABLE request_context ({columns})")
        for context_id, context in sent.items():
            row = [context_id, self.contexts.index(context), self.teams.index(self.team_of(context.team_name))]
            self.connection.execute("INSERT INTO request_context VALUES (?, ?, ?)", row)

    def _select(self) -> None:
        selection, options = self.request.selection, self.request.options
        self.connection.execute(FILE_ORDER)
        selected = select_lookups(self.connection, selection)
        # Filters select lookups: all events of a selected lookup are sent.
        lookups = f"SEMI JOIN ({selected.sql}) USING (session_id, hash_id)" if selection != Selection() else ""
        repeat, repeat_numbers = "0::BIGINT", ""
        if options.keep_repeats:
            self.connection.execute(REPEAT_NUMBERS)
            repeat, repeat_numbers = "repeat", "JOIN repeat_number USING (file_id, position)"
        sql = SELECTED.format(
            contexts=max(len(self.contexts), 1), repeat=repeat, repeat_numbers=repeat_numbers, events=selected.events,
            lookups=lookups,
        )  # fmt: skip
        fetch_rows(self.connection, sql, selected.parameters)
        if selection.status == "failed" and not options.keep_repeats:
            ((self.arrived_events,),) = self._rows(DELETE_ARRIVED)
        if options.limit is not None:
            self.connection.execute(LIMIT, {"limit": options.limit})

    def selected_names(self) -> list[TeamName]:
        """Return all names in the log of the teams that selected events go to."""
        teams = {self.teams[index] for (index,) in self._rows("SELECT DISTINCT team_index FROM selected_event")}
        return [name for name in self._names if self.team_of(name) in teams]

    def load_journal(self, states: Iterable[tuple[str, str, bytes]]) -> None:
        """Load (team, state, digests) of the journal."""
        self.connection.execute(JOURNAL_EVENTS)
        for team, state, digests in _batches(states):
            values = {"team_index": self.teams.index(team), "state": state}
            hexadecimal = [digest.hex() for digest in chunk.split_digests(digests)]
            self.connection.execute(INSERT_JOURNAL_EVENTS, values | {"digests": hexadecimal})
        self.connection.execute(DISTINCT_JOURNAL_EVENTS)

    def match_journal(self) -> dict[str, StateCounts]:
        """Match the selected events with those of the journal; return the counts of each team."""
        ((all_events, self.journal_events),) = self._rows(COUNT_JOURNAL_EVENTS)
        self.connection.execute(MATCHED if all_events else UNSENT)
        self.connection.execute(RESENDABLE if self.request.options.resend else SENDABLE)
        counts: dict[str, StateCounts] = {}
        for team_index, *states, unclear, copies in self._rows(COUNTS):
            counts[self.teams[team_index]] = StateCounts(*states)
            self.unclear_events += unclear
            self.kept_events += copies
        return counts

    def sizes(self) -> list[tuple[int, int, int, int]]:
        """Return (index, events, bytes, bytes of the largest) of each context with events to send.

        Raises:
            UsageError: a single event is larger than a request body may be.
        """
        sizes = self._rows(CONTEXT_SIZES)
        needed = max((largest for *_, largest in sizes), default=0) + BRACKETS_BYTES
        limit = self.request.options.max_bytes
        if needed > limit:
            raise UsageError(Option("max_bytes", limit), f": a single event takes {needed} bytes; allow at least that")
        return sizes

    def span(self) -> tuple[datetime | None, datetime | None, int]:
        """Return the times of the first and last event to send (naive UTC), and the number of sessions."""
        first_at, last_at, sessions = self._rows(SPAN)[0]
        return first_at, last_at, sessions

    def count_chunks(self, sizes: Sequence[tuple[int, int, int, int]]) -> dict[int, int]:
        """Return how many chunks `chunks` will cut, by the index of their context."""
        chunk_size, max_bytes = self.request.options.chunk_size, self.request.options.max_bytes
        largest = max((largest for *_, largest in sizes), default=0)
        # The sizes of single events, which take time to compute, matter only if a full chunk may exceed the limit.
        if chunk_size * (largest + 1) + BRACKETS_BYTES <= max_bytes:
            return {context_index: -(-events // chunk_size) for context_index, events, *_ in sizes}
        chunks = {context_index: 0 for context_index, *_ in sizes}
        for context_index, start, end in self._slices():
            sizes_bytes = [size for (size,) in self._rows(TEXT_SIZES, {"start": start, "end": end})]
            for first in range(0, len(sizes_bytes), chunk_size):
                indexes = chunk.split_indexes(sizes_bytes[first : first + chunk_size], max_bytes)
                chunks[context_index] += len(indexes) + 1
        return chunks

    def chunks(self) -> Iterator[Chunk]:
        """Yield the events to send in chunks, context by context, in the order of the logs."""
        import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

        self.connection.execute("SET threads = 1")  # the sender's threads need the other cores
        chunk_size, max_bytes = self.request.options.chunk_size, self.request.options.max_bytes
        for context_index, start, end in self._slices():
            events = pl.DataFrame(self.connection.sql(TEXTS, params={"start": start, "end": end})).sort("place")
            for first in range(0, len(events), chunk_size):
                rows = events.slice(first, chunk_size)
                text, digests = rows["text"].str.join("\n").item(), rows["digest"].str.join("").item()
                yield from Chunk(self.contexts[context_index], text, bytes.fromhex(digests)).split_to_fit(max_bytes)

    def _slices(self) -> Iterator[tuple[int, int, int]]:
        """Yield (index of the context, first row, end) of slices that whole chunks are cut from."""
        self.connection.execute(PENDING)
        chunk_size = self.request.options.chunk_size
        step = max(SLICE_EVENTS // chunk_size, 1) * chunk_size
        for context_index, first, count in self._rows(CONTEXT_RANGES):
            for start in range(first, first + count, step):
                yield context_index, start, min(start + step, first + count)

    def _rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()


def _batches(states: Iterable[tuple[str, str, bytes]]) -> Iterator[tuple[str, str, bytes]]:
    """Join the digests of many small chunks: one INSERT for each of them would be slow."""
    batches: dict[tuple[str, str], bytearray] = {}
    for team, state, digests in states:
        batch = batches.setdefault((team, state), bytearray())
        batch += digests
        if len(batch) >= BATCH_BYTES:
            yield team, state, bytes(batch)
            batch.clear()
    yield from ((team, state, bytes(batch)) for (team, state), batch in batches.items() if batch)
