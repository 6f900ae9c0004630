"""Selects the events to send, finds what the journal knows about each, and cuts the unsent ones into chunks.

An event is known by its content, (sessionId, source, event, hash, duration, which repeat), at a team: see EVENT_DIGEST.
Repeats are counted within a file, so that an event in two overlapping logs is one event. DuckDB does all of it and
spills to disk: a selection may be larger than memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from analyzer.archive.selection import LookupsQuery, Selection, fetch_rows, select_lookups
from analyzer.errors import Option, UsageError
from analyzer.replayer.chunk import BRACKETS_BYTES, EVENT_DIGEST, EVENT_TEXT, JOIN_NAMES, Chunk, spans, split_digests
from analyzer.replayer.journal import UNCERTAIN
from analyzer.replayer.options import DEFAULTS, ReplayOptions
from analyzer.replayer.teams import Context, TeamName, Teams, distinct_contexts, request_context

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SLICE_EVENTS = 50_000
BATCH_BYTES = 1 << 20

UNCLEAR_TEAM = "unclear_team"
"""The state of events that were sent under a slug that two teams have: perhaps to this team, perhaps not."""

CONTEXTS = "SELECT id, team_id, slug, ci, interactive FROM store.context ORDER BY id"

# A file's events keep their order; files follow each other by their first event.
FILE_ORDER = """
CREATE OR REPLACE TEMP TABLE file_order AS
SELECT file_id, coalesce(sum(positions) OVER (ORDER BY first_at NULLS LAST, file_id
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::BIGINT AS base
FROM (SELECT file_id, max(position) AS positions, min(happened_at) AS first_at FROM event GROUP BY file_id)
"""

# Over all events rather than the selected ones, so that an event keeps its number under other filters.
REPEAT_NUMBERS = """
CREATE OR REPLACE TEMP TABLE repeat_number AS
SELECT file_id, position, row_number() OVER (
    PARTITION BY file_id, team_index, session_id, hash_id, kind, duration_ms ORDER BY position) - 1 AS repeat
FROM event JOIN request_context USING (context_id)
"""

# The earliest copy of an event decides its place and its context: both are packed into one number for min().
SELECTED = """
CREATE OR REPLACE TEMP TABLE selected_event AS
SELECT team_index, session_id, hash_id, kind, duration_ms, repeat,
       min(place * {contexts} + context_index) // {contexts} AS place,
       (min(place * {contexts} + context_index) % {contexts})::INTEGER AS context_index,
       count(*)::INTEGER AS copies, min(happened_at) AS first_at, max(happened_at) AS last_at
FROM (SELECT c.team_index, c.context_index, session_id, hash_id, kind, duration_ms, {repeat} AS repeat,
             o.base + e.position AS place, happened_at
      FROM ({events}) e JOIN request_context c USING (context_id) JOIN file_order o USING (file_id)
      {repeat_numbers} {lookups} {without_arrived})
GROUP BY ALL
"""

LIMIT = "CREATE OR REPLACE TEMP TABLE selected_event AS FROM selected_event ORDER BY place LIMIT $limit"

# A client sends the events of a failed request again: the log then has them twice, but the server once.
ARRIVED = """
CREATE OR REPLACE TEMP TABLE arrived_event AS
SELECT DISTINCT team_index, session_id, hash_id, kind, duration_ms
FROM event JOIN request_context USING (context_id) WHERE status BETWEEN 200 AND 299
"""

JOIN_ARRIVED = """
JOIN arrived_event a ON a.team_index = c.team_index AND a.session_id = e.session_id AND a.hash_id = e.hash_id
                    AND a.kind = e.kind AND a.duration_ms IS NOT DISTINCT FROM e.duration_ms
"""

COUNT_ARRIVED = """
SELECT count(*) FROM (
    SELECT DISTINCT c.team_index, e.session_id, e.hash_id, e.kind, e.duration_ms
    FROM ({events}) e JOIN request_context c USING (context_id) {lookups} SEMI {join_arrived})
"""

JOURNAL_EVENTS = "CREATE OR REPLACE TEMP TABLE journal_event (team_index INTEGER, state VARCHAR, digest VARCHAR)"
INSERT_JOURNAL_EVENTS = "INSERT INTO journal_event SELECT $team_index, $state, unnest($digests::VARCHAR[])"

# An event recorded under two names of a team has the more certain state, which comes first in the alphabet.
DISTINCT_JOURNAL_EVENTS = """
CREATE OR REPLACE TEMP TABLE journal_event AS
SELECT team_index, min(state) AS state, digest FROM journal_event GROUP BY ALL
"""

MATCHED = f"""
CREATE OR REPLACE TEMP TABLE matched_event AS
SELECT e.*, j.state FROM selected_event e {JOIN_NAMES}
LEFT JOIN journal_event j ON j.team_index = e.team_index AND j.digest = {EVENT_DIGEST}
"""
MATCHED_STATES = "CREATE OR REPLACE TEMP VIEW event_state AS FROM matched_event"
# Without a journal nothing is matched: a copy of a large selection would cost seconds.
UNSENT_STATES = "CREATE OR REPLACE TEMP VIEW event_state AS SELECT *, NULL::VARCHAR AS state FROM selected_event"
SENDABLE = "CREATE OR REPLACE TEMP VIEW sendable_event AS FROM event_state WHERE state IS NULL"
RESENDABLE = f"{SENDABLE} OR state = '{UNCERTAIN}'"

COUNTS = """
SELECT team_index, coalesce(state, 'unsent'), count(*), sum(copies)::BIGINT FROM event_state GROUP BY ALL ORDER BY ALL
"""

PENDING = """
CREATE OR REPLACE TEMP TABLE pending_event AS
SELECT context_index, session_id, hash_id, kind, duration_ms, repeat FROM sendable_event ORDER BY context_index, place
"""

CONTEXT_RANGES = "SELECT context_index, min(rowid), count(*) FROM pending_event GROUP BY ALL ORDER BY ALL"

TEXTS = f"""
SELECT place, text, md5(text || '#' || repeat) AS digest
FROM (SELECT p.rowid AS place, repeat, {EVENT_TEXT} AS text
      FROM pending_event p {JOIN_NAMES} WHERE p.rowid >= $start AND p.rowid < $end)
"""

TEXT_SIZES = f"""
SELECT strlen({EVENT_TEXT}) FROM pending_event p {JOIN_NAMES} WHERE p.rowid >= $start AND p.rowid < $end
ORDER BY p.rowid
"""

CONTEXT_SIZES = f"""
SELECT context_index, count(*), sum(bytes)::BIGINT, max(bytes)
FROM (SELECT context_index, strlen({EVENT_TEXT}) AS bytes FROM sendable_event {JOIN_NAMES}) GROUP BY ALL ORDER BY ALL
"""

SPAN = "SELECT min(first_at), max(last_at), count(DISTINCT session_id) FROM sendable_event"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which events are sent, and how; `default_team` is the team of events whose log names none."""

    selection: Selection
    options: ReplayOptions = DEFAULTS
    default_team: TeamName = ("", "")


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Events of the selection by their state in the journal."""

    confirmed: int = 0
    dead_lettered: int = 0
    uncertain: int = 0
    unsent: int = 0

    @property
    def selected(self) -> int:
        """The sum of all states."""
        return self.confirmed + self.dead_lettered + self.uncertain + self.unsent


@dataclass(frozen=True, slots=True)
class TextSizes:
    """Events of one context, the bytes of their JSON texts, and of the largest."""

    events: int
    total_bytes: int
    max_bytes: int


class PendingEvents:
    """The selected events, in temporary tables of an open log.

    `kept_events` counts the log's events that the filters select, repeats included; `arrived_events` those left out
    because another request delivered them; `journal_events` what the journal knows of the teams; `unclear_events`
    those held because they may have been sent to this team under a slug that two teams have.
    """

    def __init__(
        self, connection: "DuckDBPyConnection", request: ReplayRequest, names: Iterable[TeamName] = ()
    ) -> None:
        self.connection, self.request = connection, request
        self.arrived_events = self.journal_events = self.unclear_events = self.kept_events = 0
        self._find_contexts(names)
        self._select()

    def _find_contexts(self, names: Iterable[TeamName]) -> None:
        """Find the contexts that events are sent with and their teams, by the names in the log and the journal."""
        options, default_team = self.request.options, self.request.default_team
        logged = {context_id: Context(*values) for context_id, *values in self._rows(CONTEXTS)}
        sent = {context_id: request_context(one, options, default_team) for context_id, one in logged.items()}
        self.contexts = distinct_contexts(sent.values())
        self._names = dict.fromkeys(context.team_name for context in (*self.contexts, *logged.values()))
        self.names = Teams([*names, *self._names])
        self.team_of = self.names.team_of
        self.teams = sorted({self.team_of(context.team_name) for context in self.contexts})
        columns = "context_id INTEGER, context_index INTEGER, team_index INTEGER"
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE request_context ({columns})")
        for context_id, context in sent.items():
            row = [context_id, self.contexts.index(context), self.teams.index(self.team_of(context.team_name))]
            self.connection.execute("INSERT INTO request_context VALUES (?, ?, ?)", row)

    def _select(self) -> None:
        selection, options = self.request.selection, self.request.options
        self.connection.execute(FILE_ORDER)
        if options.keep_repeats:
            self.connection.execute(REPEAT_NUMBERS)
        selected = select_lookups(self.connection, selection)
        lookups = f"SEMI JOIN ({selected.sql}) USING (session_id, hash_id)" if selection != Selection() else ""
        only_missing = selection.status == "failed" and not options.keep_repeats
        sql = SELECTED.format(
            contexts=max(len(self.contexts), 1),
            repeat="repeat" if options.keep_repeats else "0::BIGINT",
            repeat_numbers="JOIN repeat_number USING (file_id, position)" if options.keep_repeats else "",
            events=selected.events,
            lookups=lookups,
            without_arrived=self._without_arrived(selected, lookups) if only_missing else "",
        )
        fetch_rows(self.connection, sql, selected.parameters)
        if options.limit is not None:
            self.connection.execute(LIMIT, {"limit": options.limit})
        self.connection.execute(JOURNAL_EVENTS)

    def _without_arrived(self, selected: LookupsQuery, lookups: str) -> str:
        """Return the join that leaves out events that arrived with another request, after counting them."""
        self.connection.execute(ARRIVED)
        count = COUNT_ARRIVED.format(events=selected.events, lookups=lookups, join_arrived=JOIN_ARRIVED)
        self.arrived_events = fetch_rows(self.connection, count, selected.parameters)[0][0]
        return f"ANTI {JOIN_ARRIVED}"

    def selected_names(self) -> list[TeamName]:
        """Return all names that the log has for the teams that selected events go to."""
        teams = {self.teams[index] for (index,) in self._rows("SELECT DISTINCT team_index FROM selected_event")}
        return [name for name in self._names if self.team_of(name) in teams]

    def load_journal(self, states: Iterable[tuple[str, str, bytes]], *, distinct: bool) -> None:
        """Load (team, state, digests) of the journal; `distinct` if no event of a team can occur twice."""
        self.connection.execute(JOURNAL_EVENTS)
        for team, state, digests in _batches(states):
            values = {"team_index": self.teams.index(team), "state": state}
            hexadecimal = [digest.hex() for digest in split_digests(digests)]
            self.connection.execute(INSERT_JOURNAL_EVENTS, values | {"digests": hexadecimal})
        if not distinct:
            self.connection.execute(DISTINCT_JOURNAL_EVENTS)

    def match_journal(self) -> dict[str, StateCounts]:
        """Match the selected events with those of the journal; return the counts of each team."""
        sure = f"SELECT count(*), count(*) FILTER (state <> '{UNCLEAR_TEAM}') FROM journal_event"
        found, self.journal_events = self._rows(sure)[0]
        for statement in [MATCHED, MATCHED_STATES] if found else [UNSENT_STATES]:
            self.connection.execute(statement)
        self.connection.execute(RESENDABLE if self.request.options.resend else SENDABLE)
        counts: dict[str, dict[str, int]] = {}
        for team_index, found_state, events, copies in self._rows(COUNTS):
            is_unclear = found_state == UNCLEAR_TEAM
            state, team = UNCERTAIN if is_unclear else found_state, counts.setdefault(self.teams[team_index], {})
            team[state] = team.get(state, 0) + events
            self.unclear_events += events * is_unclear
            self.kept_events += copies
        return {team: StateCounts(**states) for team, states in counts.items()}

    def sizes(self) -> dict[int, TextSizes]:
        """Return the sizes of the events to send by the index of their context.

        Raises:
            UsageError: a single event is larger than a request body may be.
        """
        found = {index: TextSizes(*sizes) for index, *sizes in self._rows(CONTEXT_SIZES)}
        needed = max((sizes.max_bytes for sizes in found.values()), default=0) + BRACKETS_BYTES
        limit = self.request.options.max_bytes
        if needed > limit:
            raise UsageError(Option("max_bytes", limit), f": a single event takes {needed} bytes; allow at least that")
        return found

    def span(self) -> tuple[datetime | None, datetime | None, int]:
        """Return the times of the first and last event to send (naive UTC), and the number of sessions."""
        first_at, last_at, sessions = self._rows(SPAN)[0]
        return first_at, last_at, sessions

    def chunk_sizes(self) -> Iterator[tuple[int, int]]:
        """Yield (index of the context, bytes of the body) of each chunk, as `chunks` cuts them."""
        chunk_size, max_bytes = self.request.options.chunk_size, self.request.options.max_bytes
        for context_index, start, end in self._slices():
            sizes = [size for (size,) in self._rows(TEXT_SIZES, {"start": start, "end": end})]
            for first in range(0, len(sizes), chunk_size):
                group = sizes[first : first + chunk_size]
                for low, high in spans(group, max_bytes):
                    yield context_index, sum(group[low:high]) + (high - low - 1) + BRACKETS_BYTES

    def chunks(self) -> Iterator[Chunk]:
        """Yield the events to send in chunks, context by context, in the order of the logs."""
        import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

        self.connection.execute("SET threads = 1")  # the sender's threads need the other cores
        chunk_size, max_bytes = self.request.options.chunk_size, self.request.options.max_bytes
        for context_index, start, end in self._slices():
            events = pl.DataFrame(self.connection.sql(TEXTS, params={"start": start, "end": end})).sort("place")
            for first in range(0, len(events), chunk_size):
                text, digests = (
                    events[column].slice(first, chunk_size).str.join(separator).item()
                    for column, separator in (("text", "\n"), ("digest", ""))
                )
                yield from Chunk(self.contexts[context_index], text, bytes.fromhex(digests)).split_to_fit(max_bytes)

    def _slices(self) -> Iterator[tuple[int, int, int]]:
        """Yield (index of the context, first row, end) of slices that hold whole chunks."""
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
