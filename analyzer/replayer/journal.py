"""The journal: records in SQLite which events were sent where, so that a kill at any moment loses nothing.

A chunk is recorded before its request, and its outcome after it. A chunk without an outcome was being sent when a run
ended: the server may have recorded its events, so they are uncertain. A chunk's row has the 128-bit digests of its
events one after another; the journal contains no event, no token and no request body.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from analyzer.errors import JournalError
from analyzer.replayer.chunk import DIGEST_BYTES, split_digests
from analyzer.replayer.journal_file import NAME_ANOTHER, journal_errors, open_for_reading, open_for_writing
from analyzer.replayer.teams import TeamName

VERSION = 3
CONFIRMED, DEAD_LETTERED, UNCERTAIN = "confirmed", "dead_lettered", "uncertain"
STATES = (CONFIRMED, DEAD_LETTERED, UNCERTAIN)
ABANDONED = "the run ended before the answer was recorded"
AUDIT_PARTS = 16

TABLES = (
    "CREATE TABLE meta (version INTEGER NOT NULL)",
    f"INSERT INTO meta VALUES ({VERSION})",
    """CREATE TABLE destination (id INTEGER PRIMARY KEY, api TEXT NOT NULL, team_id TEXT NOT NULL, slug TEXT NOT NULL,
       unsent INTEGER, last_error TEXT, UNIQUE (api, team_id, slug))""",
    """CREATE TABLE chunk (id INTEGER PRIMARY KEY, destination_id INTEGER NOT NULL, sent_at_ms INTEGER NOT NULL,
       digests BLOB NOT NULL)""",
    """CREATE TABLE outcome (chunk_id INTEGER PRIMARY KEY, state TEXT NOT NULL, status INTEGER, message TEXT NOT NULL,
       at_ms INTEGER NOT NULL)""",
)

INSERT_CHUNK = "INSERT INTO chunk (destination_id, sent_at_ms, digests) VALUES (?, ?, ?)"
INSERT_OUTCOME = "INSERT INTO outcome VALUES (?, ?, ?, ?, ?)"

MARK_ABANDONED = f"""
INSERT INTO outcome SELECT c.id, '{UNCERTAIN}', NULL, '{ABANDONED}', ?
FROM chunk c LEFT JOIN outcome o ON o.chunk_id = c.id WHERE o.chunk_id IS NULL
"""

TEAM = "CASE WHEN team_id = '' OR slug = '' THEN team_id || slug ELSE slug || ' (' || team_id || ')' END"
STATE = f"coalesce(o.state, '{UNCERTAIN}')"
EVENTS_IN_STATE = f"coalesce(sum(length(c.digests)) FILTER (WHERE {STATE} = '{{}}'), 0) / {DIGEST_BYTES}"

SUMMARY = f"""
SELECT d.id, d.api, {TEAM} AS team, {", ".join(map(EVENTS_IN_STATE.format, STATES))}, d.unsent, d.last_error
FROM destination d LEFT JOIN chunk c ON c.destination_id = d.id LEFT JOIN outcome o ON o.chunk_id = c.id
GROUP BY d.id HAVING count(c.id) > 0 OR d.unsent > 0 OR d.last_error IS NOT NULL ORDER BY d.api, team
"""

CHUNKS_IN_STATE = f"""
SELECT c.id, d.api, {TEAM}, length(c.digests) / {DIGEST_BYTES}, c.sent_at_ms, o.status, o.message
FROM chunk c JOIN destination d ON d.id = c.destination_id LEFT JOIN outcome o ON o.chunk_id = c.id
WHERE {STATE} = ? AND c.id = coalesce(?, c.id) AND d.api = coalesce(?, d.api) AND {TEAM} = coalesce(?, {TEAM})
ORDER BY c.id
"""

BROKEN_ROWS = f"""
SELECT (SELECT count(*) FROM chunk WHERE length(digests) = 0 OR length(digests) % {DIGEST_BYTES} > 0)
       + (SELECT count(*) FROM outcome WHERE state NOT IN {STATES} OR chunk_id NOT IN (SELECT id FROM chunk))
"""

ADD_UNSENT = """
UPDATE destination SET unsent = coalesce(unsent, 0) + ? WHERE id = (SELECT destination_id FROM chunk WHERE id = ?)
"""

Execute = Callable[..., sqlite3.Cursor]


@dataclass(frozen=True, slots=True)
class FinishedChunk:
    """The outcome of a chunk: the new state of its events, or None if the server did not record them.

    `uncertain_before` are the digests of events that were uncertain before this request, and return to that state.
    """

    chunk_id: int
    state: str | None
    status: int | None = None
    message: str = ""
    uncertain_before: bytes = b""


class Journal:
    """An open journal; safe to use from several threads. Only one process at a time writes, any may read.

    If the file does not exist, writing creates it, and reading finds an empty journal.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path, self._lock = path, threading.Lock()
        self._resendable: dict[tuple[str, bytes], int] = {}
        self._teams: Mapping[int, str] = {}  # of the destinations whose uncertain events may be resent
        if not read_only and not path.parent.is_dir():
            raise JournalError(f"{path}: there is no directory {path.parent}; create it, or ", NAME_ANOTHER)
        open_database = open_for_reading if read_only else open_for_writing
        with ExitStack() as stack, journal_errors(path):
            self._database = stack.enter_context(open_database(path, TABLES))
            self._require_sound()
            if not read_only:
                self._database.execute(MARK_ABANDONED, (_now_ms(),))
                # Remembered to notice if the file is replaced, see `_require_same_file`.
                self._file = path.stat()
            self._closing = stack.pop_all()

    def _require_sound(self) -> None:
        if self._database.execute("SELECT version FROM meta").fetchone() != (VERSION,):
            raise JournalError(f"{self.path}: a journal of another version; ", NAME_ANOTHER)
        damage = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        broken = self._database.execute(BROKEN_ROWS).fetchone()[0]
        if damage != "ok" or broken:
            detail = damage if damage != "ok" else f"{broken} broken rows"
            raise JournalError(f"{self.path}: the journal is damaged ({detail}); restore it from a backup")

    def _require_same_file(self) -> None:
        """Raise JournalError if the file was removed or replaced: the next run would not see what is recorded."""
        with suppress(OSError):
            if os.path.samestat(self.path.stat(), self._file):
                return
        raise JournalError(f"{self.path}: the journal was removed or replaced while it was in use; restore it")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with journal_errors(self.path):
            self._closing.__exit__(kind, error, at)

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        with self._lock, journal_errors(self.path), self._database:  # the database commits, or rolls back on an error
            self._database.execute("BEGIN")
            yield self._database.execute

    def destinations(self, api: str, create: Sequence[TeamName] = ()) -> dict[TeamName, int]:
        """Return the ids of a server's destinations by team name, after creating those in `create` that are new."""
        if create:
            with self._transaction() as execute:
                for name in create:
                    execute("INSERT OR IGNORE INTO destination (api, team_id, slug) VALUES (?, ?, ?)", (api, *name))
        rows = self._rows("SELECT team_id, slug, id FROM destination WHERE api = ? ORDER BY id", api)
        return {(team_id, slug): destination_id for team_id, slug, destination_id in rows}

    def record_chunks(self, finished: Sequence[FinishedChunk], started: Sequence[tuple[int, bytes]] = ()) -> list[int]:
        """Record, durably and in one transaction, outcomes and chunks (destination id, digests) about to be sent.

        Returns the ids of the started chunks: once this returns, their requests may be sent. Digests that are resent
        (see `allow_resend`) move from their uncertain chunk to the new one.
        """
        self._require_same_file()
        with self._transaction() as execute:
            now_ms = _now_ms()
            for chunk in finished:
                self._record_outcome(execute, chunk, now_ms)
            for destination_id, digests in started:
                self._remove_resent(execute, destination_id, digests)
            rows = [(destination_id, now_ms, digests) for destination_id, digests in started]
            return [int(execute(INSERT_CHUNK, row).lastrowid or 0) for row in rows]

    def _record_outcome(self, execute: Execute, chunk: FinishedChunk, now_ms: int) -> None:
        # The server recorded none of its events: without a chunk they are unsent again.
        if chunk.state is None and not chunk.uncertain_before:
            execute("DELETE FROM chunk WHERE id = ?", (chunk.chunk_id,))
            return
        if chunk.state is None:
            # The others are unsent again; these stay uncertain because of an earlier request.
            execute("UPDATE chunk SET digests = ? WHERE id = ?", (chunk.uncertain_before, chunk.chunk_id))
        state = chunk.state or UNCERTAIN
        execute(INSERT_OUTCOME, (chunk.chunk_id, state, chunk.status, chunk.message, now_ms))
        if state == UNCERTAIN and self._teams:
            query = "SELECT destination_id, digests FROM chunk WHERE id = ?"
            destination_id, digests = execute(query, (chunk.chunk_id,)).fetchone()
            # A later retry in the same run may send these events again.
            team = self._teams[destination_id]
            self._resendable.update({(team, digest): chunk.chunk_id for digest in split_digests(digests)})

    def record_dead_letter(self, destination_id: int, digests: bytes, status: int | None, message: str) -> None:
        """Record events that the server refused."""
        with self._transaction() as execute:
            self._remove_resent(execute, destination_id, digests)
            chunk_id = execute(INSERT_CHUNK, (destination_id, _now_ms(), digests)).lastrowid
            execute(INSERT_OUTCOME, (chunk_id, DEAD_LETTERED, status, message, _now_ms()))

    def allow_resend(self, teams: Mapping[int, str]) -> None:
        """Allow uncertain events of destinations to be sent again; they stay uncertain until they are.

        `teams` maps destination ids to teams: an event that is uncertain under two names of a team is resent once.
        """
        self._teams = teams
        for destination_id, team in teams.items():
            query = "SELECT id, digests FROM chunk JOIN outcome ON chunk_id = id WHERE destination_id = ? AND state = ?"
            for chunk_id, digests in self._rows(query, destination_id, UNCERTAIN):
                if self.resendable(destination_id, digests):
                    with self._transaction() as execute:
                        self._remove_resent(execute, destination_id, digests)
                self._resendable.update({(team, digest): chunk_id for digest in split_digests(digests)})

    def resendable(self, destination_id: int, digests: bytes) -> bytes:
        """Return those of the digests that are uncertain and may be sent again."""
        if not self._resendable:
            return b""
        team = self._teams.get(destination_id, "")
        return b"".join(digest for digest in split_digests(digests) if (team, digest) in self._resendable)

    def _remove_resent(self, execute: Execute, destination_id: int, digests: bytes) -> None:
        """Remove digests from their uncertain chunks, because they move to another chunk."""
        if not self._resendable:
            return
        team, resent = self._teams.get(destination_id, ""), set(split_digests(digests))
        chunk_ids = {self._resendable.pop((team, digest)) for digest in resent if (team, digest) in self._resendable}
        for chunk_id in chunk_ids:
            (recorded,) = execute("SELECT digests FROM chunk WHERE id = ?", (chunk_id,)).fetchone()
            rest = b"".join(digest for digest in split_digests(recorded) if digest not in resent)
            if rest:
                execute("UPDATE chunk SET digests = ? WHERE id = ?", (rest, chunk_id))
            else:
                _delete(execute, chunk_id)

    def resolve(
        self, state: str, new_state: str | None, chunk_id: int | None = None, api: str | None = None,
        team: str | None = None,
    ) -> tuple[int, int]:  # fmt: skip
        """Set chunks of a state to another, or with None make their events unsent; return the chunks and events.

        The filters choose one chunk, or those of a server, or of a team as `summary` names it.
        """
        with self._transaction() as execute:
            rows = execute(CHUNKS_IN_STATE, (state, chunk_id, api, team)).fetchall()
            for row_id, _, _, events, *_ in rows:
                if new_state:
                    values = (new_state, _now_ms(), row_id)
                    execute("UPDATE outcome SET state = ?, at_ms = ? WHERE chunk_id = ?", values)
                else:
                    execute(ADD_UNSENT, (events, row_id))
                    _delete(execute, row_id)
            return len(rows), sum(row[3] for row in rows)

    def record_unsent(self, destination_id: int, events: int, last_error: str | None) -> None:
        """Record how many events of its selection a run left unsent, and its last error if there was one."""
        update = "UPDATE destination SET unsent = ?, last_error = coalesce(?, last_error) WHERE id = ?"
        with self._transaction() as execute:
            execute(update, (events, last_error, destination_id))

    def states(self, destination_id: int) -> Iterator[tuple[str, bytes]]:
        """Yield (state, digests) of each chunk of a destination."""
        query = f"SELECT {STATE}, digests FROM chunk c LEFT JOIN outcome o ON chunk_id = id WHERE destination_id = ?"
        with journal_errors(self.path):
            yield from self._database.execute(f"{query} ORDER BY id", (destination_id,))

    def summary(self) -> list[tuple[Any, ...]]:
        """Return api, team, events confirmed, dead-lettered, uncertain and unsent, last error of each destination."""
        return [row[1:] for row in self._rows(SUMMARY)]

    def counts(self) -> dict[int, dict[str, int]]:
        """Return the number of events by destination id and state."""
        return {row[0]: dict(zip(STATES, row[3:6], strict=True)) for row in self._rows(SUMMARY)}

    def uncertain_chunks(self) -> list[tuple[Any, ...]]:
        """Return id, api, team, events, time sent (ms), status and message of each uncertain chunk."""
        return self._rows(CHUNKS_IN_STATE, UNCERTAIN, None, None, None)

    def _rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with journal_errors(self.path):
            return self._database.execute(sql, parameters).fetchall()

    def faults(self) -> Iterator[str]:
        """Check the whole journal, and yield a description of each fault."""
        yield from (text for (text,) in self._rows("PRAGMA integrity_check(10)") if text != "ok")
        for (destination_id,) in self._rows("SELECT id FROM destination ORDER BY id"):
            # In parts by the digest's first byte: all digests of a large journal would take much memory.
            if any(self._has_repeats(destination_id, part) for part in range(AUDIT_PARTS)):
                yield f"destination {destination_id}: an event is counted twice"

    def _has_repeats(self, destination_id: int, part: int) -> bool:
        chunks = (split_digests(digests) for _, digests in self.states(destination_id))
        digests = [digest for digest in chain.from_iterable(chunks) if digest[0] % AUDIT_PARTS == part]
        return len(set(digests)) < len(digests)


def _delete(execute: Execute, chunk_id: int) -> None:
    execute("DELETE FROM outcome WHERE chunk_id = ?", (chunk_id,))
    execute("DELETE FROM chunk WHERE id = ?", (chunk_id,))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
