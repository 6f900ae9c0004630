"""The journal: which events were sent where, kept in SQLite so that a kill at any moment loses nothing.

A chunk is written down before its request, its outcome after it. A chunk without an outcome was under way when a run
ended: it may have been taken, and is uncertain. Events are known by 128-bit digests, one after another in a chunk's
row; the journal holds no event, no token and no body.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from analyzer.errors import JournalError
from analyzer.replayer.chunk import DIGEST_BYTES
from analyzer.replayer.journal_file import ANOTHER, explained, read, written
from analyzer.replayer.teams import TeamName

VERSION = 2
CONFIRMED, DEAD, UNCERTAIN = "confirmed", "dead_lettered", "uncertain"
STATES = (CONFIRMED, DEAD, UNCERTAIN)
LEFT_BEHIND = "the run ended before the answer was written down"

TABLES = (
    "CREATE TABLE meta (version INTEGER NOT NULL)",
    f"INSERT INTO meta VALUES ({VERSION})",
    """CREATE TABLE destination (id INTEGER PRIMARY KEY, api TEXT NOT NULL, team_id TEXT NOT NULL, slug TEXT NOT NULL,
       unsent INTEGER, last_error TEXT, UNIQUE (api, team_id, slug))""",
    """CREATE TABLE chunk (id INTEGER PRIMARY KEY, destination_id INTEGER NOT NULL, sent_at_ms INTEGER NOT NULL,
       digests BLOB NOT NULL)""",
    """CREATE TABLE outcome (chunk_id INTEGER PRIMARY KEY, state TEXT NOT NULL, status INTEGER, words TEXT NOT NULL,
       at_ms INTEGER NOT NULL)""",
)


SETTLE = """
INSERT INTO outcome SELECT c.id, :state, NULL, :words, :at_ms FROM chunk c LEFT JOIN outcome o ON o.chunk_id = c.id
WHERE o.chunk_id IS NULL
"""

TEAM = """
CASE WHEN team_id = '' OR slug = '' THEN team_id || slug ELSE slug || ' (' || team_id || ')' END
"""

SUMMARY = f"""
SELECT d.id, d.api, {TEAM} AS team,
       coalesce(sum(length(c.digests)) FILTER (WHERE o.state = '{CONFIRMED}'), 0) / {DIGEST_BYTES},
       coalesce(sum(length(c.digests)) FILTER (WHERE o.state = '{DEAD}'), 0) / {DIGEST_BYTES},
       coalesce(sum(length(c.digests)) FILTER (WHERE coalesce(o.state, '{UNCERTAIN}') = '{UNCERTAIN}'), 0)
       / {DIGEST_BYTES},
       d.unsent, d.last_error
FROM destination d LEFT JOIN chunk c ON c.destination_id = d.id LEFT JOIN outcome o ON o.chunk_id = c.id
GROUP BY d.id HAVING count(c.id) > 0 OR d.unsent > 0 OR d.last_error IS NOT NULL ORDER BY d.api, team
"""

BROKEN = f"""
SELECT (SELECT count(*) FROM chunk WHERE length(digests) = 0 OR length(digests) % {DIGEST_BYTES} > 0)
     + (SELECT count(*) FROM outcome WHERE state NOT IN (?, ?, ?))
"""

CHUNKS = f"""
SELECT c.id, d.api, {TEAM}, length(c.digests) / {DIGEST_BYTES}, c.sent_at_ms, o.status, o.words
FROM chunk c JOIN destination d ON d.id = c.destination_id LEFT JOIN outcome o ON o.chunk_id = c.id
WHERE coalesce(o.state, '{UNCERTAIN}') = ? ORDER BY c.id
"""


UNSENT_AGAIN = """
UPDATE destination SET unsent = coalesce(unsent, 0) + ? WHERE id = (SELECT destination_id FROM chunk WHERE id = ?)
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A chunk's end: its state, or None where its events are unsent again.

    Those of them that were in `doubt` before, by an earlier request, are uncertain again.
    """

    chunk_id: int
    state: str | None
    status: int | None = None
    words: str = ""
    doubt: bytes = b""


class Journal:
    """An open journal; safe to use from several threads. Only one process at a time writes, any may read.

    Raises:
        JournalError: another process writes, or it is damaged, of another version, or cannot be written.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time, *, read_only: bool = False) -> None:
        self.path, self._now, self._lock = path, now, threading.Lock()
        self._held: dict[tuple[str, bytes], int] | None = None
        self._teams: Mapping[int, str] = {}
        if not path.parent.is_dir():
            raise JournalError(f"{path}: there is no directory {path.parent}; make it, or ", ANOTHER)
        with ExitStack() as stack, explained(path):
            self._database = stack.enter_context(read(path) if read_only else written(path, TABLES))
            self._require_sound()
            if not read_only:
                settled = {"state": UNCERTAIN, "words": LEFT_BEHIND, "at_ms": self._at_ms()}
                self._database.execute(SETTLE, settled)
            self._file = path.stat()
            self._closing = stack.pop_all()

    def _require_sound(self) -> None:
        if self._database.execute("SELECT version FROM meta").fetchone() != (VERSION,):
            raise JournalError(f"{self.path}: a journal of another version; ", ANOTHER)
        found = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        broken = self._database.execute(BROKEN, STATES).fetchone()[0]
        if found != "ok" or broken:
            why = found if found != "ok" else f"{broken} broken rows"
            raise JournalError(f"{self.path}: the journal is damaged ({why}); restore it from a backup")

    def _require_there(self) -> None:
        """Refuse to go on where the file was removed or replaced: nobody would find what is written."""
        with suppress(OSError):
            if os.path.samestat(self.path.stat(), self._file):
                return
        raise JournalError(f"{self.path}: the journal was removed or replaced while it was in use; bring it back")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with explained(self.path):
            self._closing.__exit__(kind, error, at)

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._lock, explained(self.path):
            self._database.execute("BEGIN")
            try:
                yield self._database.execute
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _at_ms(self) -> int:
        return int(self._now() * 1000)

    def destinations(self, api: str, made: Sequence[TeamName] = ()) -> dict[TeamName, int]:
        """Return the ids of a server's destinations, a team as requests name it each; of `made` that are new too."""
        if made:
            with self._transaction() as execute:
                for named in made:
                    values = (api, *named)
                    execute("INSERT OR IGNORE INTO destination (api, team_id, slug) VALUES (?, ?, ?)", values)
        with explained(self.path):
            sql = "SELECT team_id, slug, id FROM destination WHERE api = ? ORDER BY id"
            return {(team_id, slug): number for team_id, slug, number in self._database.execute(sql, (api,))}

    def record_chunks(self, ended: Sequence[Ended], begun: Sequence[tuple[int, bytes]] = ()) -> list[int]:
        """Write down, durably and at once, chunks that ended and (destination, digests) of such that begin.

        Returns the ids of the chunks that begin: once this returns, their requests may be sent. What was uncertain of
        them, and may be sent again (see `hold`), no longer stands in the chunks it stood in.
        """
        self._require_there()
        with self._transaction() as execute:
            at_ms = self._at_ms()
            for one in ended:
                if one.state is None and not one.doubt:
                    execute("DELETE FROM chunk WHERE id = ?", (one.chunk_id,))
                    continue
                if one.state is None:
                    execute("UPDATE chunk SET digests = ? WHERE id = ?", (one.doubt, one.chunk_id))
                state = one.state or UNCERTAIN
                row = (one.chunk_id, state, one.status, one.words, at_ms)
                execute("INSERT INTO outcome VALUES (?, ?, ?, ?, ?)", row)
                if state == UNCERTAIN and self._held is not None:
                    self._hold_on(execute, one.chunk_id, self._held)
            for destination, digests in begun if self._held else ():
                self._let_go(execute, destination, digests)
            insert = "INSERT INTO chunk (destination_id, sent_at_ms, digests) VALUES (?, ?, ?)"
            ids = [execute(insert, (destination, at_ms, digests)).lastrowid for destination, digests in begun]
            return [number for number in ids if number is not None]

    def record_dead_letter(self, destination_id: int, digests: bytes, status: int | None, words: str) -> None:
        """Write down events that the server refused."""
        with self._transaction() as execute:
            if self._held:
                self._let_go(execute, destination_id, digests)
            insert = "INSERT INTO chunk (destination_id, sent_at_ms, digests) VALUES (?, ?, ?)"
            number = execute(insert, (destination_id, self._at_ms(), digests)).lastrowid
            execute("INSERT INTO outcome VALUES (?, ?, ?, ?, ?)", (number, DEAD, status, words, self._at_ms()))

    def known(self, destination_id: int) -> Iterator[tuple[str, bytes]]:
        """Yield (state, digests) of each chunk of a destination."""
        with explained(self.path):
            yield from self._database.execute(
                "SELECT coalesce(state, ?), digests FROM chunk LEFT JOIN outcome ON chunk_id = id"
                " WHERE destination_id = ? ORDER BY id",
                (UNCERTAIN, destination_id),
            )

    def allow_resend(self, teams: Mapping[int, str]) -> None:
        """Let uncertain events of destinations, which are teams', be sent again: they stay uncertain until they are."""
        self._teams, self._held = teams, {}
        for destination_id, team in teams.items():
            for number, digests in self._uncertain_of(destination_id):
                self._keep_once(destination_id, digests)
                self._held.update({(team, digest): number for digest in split(digests)})

    def _keep_once(self, destination_id: int, digests: bytes) -> None:
        """Take what is uncertain by another name of the team, too, out of the chunks of that."""
        if self.resendable(destination_id, digests):
            with self._transaction() as execute:
                self._let_go(execute, destination_id, digests)

    def resendable(self, destination_id: int, digests: bytes) -> bytes:
        """Return those of the digests that are uncertain, and may be sent again."""
        held, team = self._held, self._teams.get(destination_id, "")
        return b"".join(digest for digest in split(digests) if (team, digest) in held) if held else b""

    def _uncertain_of(self, destination_id: int) -> list[tuple[int, bytes]]:
        with explained(self.path):
            return self._database.execute(
                "SELECT id, digests FROM chunk JOIN outcome ON chunk_id = id WHERE destination_id = ? AND state = ?",
                (destination_id, UNCERTAIN),
            ).fetchall()

    def _hold_on(self, execute: Callable[..., sqlite3.Cursor], number: int, held: dict[tuple[str, bytes], int]) -> None:
        destination, digests = execute("SELECT destination_id, digests FROM chunk WHERE id = ?", (number,)).fetchone()
        held.update({(self._teams[destination], digest): number for digest in split(digests)})

    def _let_go(self, execute: Callable[..., sqlite3.Cursor], destination_id: int, digests: bytes) -> None:
        """Take digests out of the uncertain chunks they stand in."""
        held, team = self._held or {}, self._teams.get(destination_id, "")
        known = [key for one in split(digests) if (key := (team, one)) in held]
        numbers = {held.pop(key) for key in known}
        gone = set(split(digests))
        for number in numbers:
            (found,) = execute("SELECT digests FROM chunk WHERE id = ?", (number,)).fetchone()
            kept = b"".join(one for one in split(found) if one not in gone)
            if kept:
                execute("UPDATE chunk SET digests = ? WHERE id = ?", (kept, number))
            else:
                _forget(execute, number)

    def resolve(
        self, of: str, to: str | None, chunk_id: int | None = None, api: str | None = None, team: str | None = None
    ) -> tuple[int, int]:
        """Settle chunks of a state: all, or one, or those that went to a server or a team (as `summary` names it).

        `to` is another state, or None to make their events unsent. Returns the numbers of chunks and events.
        """
        wanted = (chunk_id, api, team)
        with self._transaction() as execute:
            rows = [
                row
                for row in execute(CHUNKS, (of,))
                if all(one in (None, its) for one, its in zip(wanted, row, strict=False))
            ]
            if chunk_id is not None and not rows:
                raise JournalError(f"--chunk {chunk_id}: no such chunk; `analyzer journal status` lists them")
            for row in rows:
                number = row[0]
                if to:
                    execute("UPDATE outcome SET state = ?, at_ms = ? WHERE chunk_id = ?", (to, self._at_ms(), number))
                else:
                    execute(UNSENT_AGAIN, (row[3], number))
                    _forget(execute, number)
            return len(rows), sum(row[3] for row in rows)

    def record_unsent(self, unsent: dict[int, int], last_error: str | None) -> None:
        """Keep how many events of its selection a run left unsent, by destination, and its last error."""
        with self._transaction() as execute:
            for destination_id, count in unsent.items():
                execute(
                    "UPDATE destination SET unsent = ?, last_error = coalesce(?, last_error) WHERE id = ?",
                    (count, last_error, destination_id),
                )

    def summary(self) -> list[tuple[Any, ...]]:
        """Return api, team, events confirmed, dead-lettered and uncertain, unsent, last error of each destination."""
        return [row[1:] for row in self.rows(SUMMARY)]

    def counts(self) -> dict[int, tuple[int, int, int]]:
        """Return the events confirmed, dead-lettered and uncertain by destination."""
        return {number: (c, d, u) for number, _, _, c, d, u, *_ in self.rows(SUMMARY)}

    def uncertain(self) -> list[tuple[Any, ...]]:
        """Return id, api, team, events, time sent (ms), status and words of each uncertain chunk."""
        with explained(self.path):
            return self._database.execute(CHUNKS, (UNCERTAIN,)).fetchall()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the tables."""
        with explained(self.path):
            return self._database.execute(sql).fetchall()


def split(digests: bytes) -> Iterator[bytes]:
    """Yield the digests of a chunk's row."""
    return (digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES))


def _forget(execute: Callable[..., sqlite3.Cursor], number: int) -> None:
    execute("DELETE FROM outcome WHERE chunk_id = ?", (number,))
    execute("DELETE FROM chunk WHERE id = ?", (number,))
