"""The journal's file: made whole before it has its name, of one writer at a time, known to be whole when read.

SQLite keeps what was written last in a second file beside it, NAME-wal, until the journal is closed. So for as long as
it is open, the first is marked: a copy of it without the second knows less than was sent, and is refused.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from analyzer.errors import JournalError
from analyzer.message import Message, Option

PAGE_BYTES = 16384
"""Large pages waste less of a chunk's row: 18 bytes an event in chunks of 100."""

MARK_AT, MARK_BYTES = 60, 4
"""Where SQLite's header has `user_version`, which is not 0 where the journal was not closed."""

ANOTHER = Message("name another ", Option("journal"))
UNWRITTEN = Message("the journal cannot be written; check its permissions, or ", ANOTHER)
BUSY = "another replay is using the journal; run this again when it has ended"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into those of a journal."""
    try:
        yield
    except sqlite3.Error as error:
        raise JournalError(f"{path}: ", _what(error)) from None
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be opened ({error.strerror}); check its permissions") from None


@contextmanager
def written(path: Path, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """Open a journal for writing, made of the statements `tables` where there is none."""
    real = path.resolve()
    with ExitStack() as stack:
        stack.enter_context(_turn(beside(real, "lock")))
        if not real.exists():
            _require_alone(path, beside(real, "wal"))
            _make(real, tables)
        _require_whole(path, real)
        database = stack.enter_context(closing(_connect(real, "rw")))
        _require_journal(path, database)
        stack.enter_context(_marked(database))
        yield database


@contextmanager
def read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading, be it in a directory where nothing can be written."""
    real = path.resolve()
    _require_whole(path, real)
    fixed = not os.access(real.parent, os.W_OK) and not beside(real, "wal").exists()
    with closing(_connect(real, "ro&immutable=1" if fixed else "ro")) as database:
        _require_journal(path, database)
        yield database


ROLES = ("wal", "shm", "lock")


def beside(path: Path, role: str) -> Path:
    """Return the file beside a journal that has one of the `ROLES`."""
    return path.with_name(f"{path.name}-{role}")


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """Hold a lock on a file of its own: readers are not kept out."""
    with closing(sqlite3.connect(lock, isolation_level=None, timeout=0, check_same_thread=False)) as turn:
        turn.execute("BEGIN EXCLUSIVE")
        yield


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _make(path: Path, tables: Sequence[str]) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with closing(_connect(made, "rwc")) as database:
            database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            for statement in ("PRAGMA journal_mode = WAL", "BEGIN", *tables, "COMMIT"):
                database.execute(statement)
        made.rename(path)
    finally:
        for left in (made, beside(made, "wal"), beside(made, "shm")):
            left.unlink(missing_ok=True)


@contextmanager
def _marked(database: sqlite3.Connection) -> Iterator[None]:
    """Mark the file itself as open, durably, for so long."""
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA user_version = 1")
    if database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise sqlite3.OperationalError(BUSY)
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # it stays marked, and what is missing in it is in the other file
            database.execute("PRAGMA user_version = 0")


def _require_whole(path: Path, real: Path) -> None:
    wal = beside(real, "wal")
    if _is_marked(real) and not wal.exists() and _is_marked(real):
        raise JournalError(
            f"{path}: its run ended without closing it, and {wal.name}, which holds what was sent last, is not"
            " beside it; bring that file back too (an empty one in its place accepts that events may be sent twice)"
        )


def _require_alone(path: Path, wal: Path) -> None:
    if wal.exists():
        raise JournalError(
            f"{path}: there is no such journal, but {wal.name} has a part of one: bring the journal back beside it, or"
            " remove that too"
        )


def _is_marked(path: Path) -> bool:
    with path.open("rb") as file:
        return any(file.read(MARK_AT + MARK_BYTES)[MARK_AT:])


def _require_journal(path: Path, database: sqlite3.Connection) -> None:
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not names and not path.stat().st_size:
        raise JournalError(f"{path}: an empty file, which knows nothing of what was sent; remove it, or ", ANOTHER)
    if not {"meta", "destination", "chunk", "outcome"} <= names:
        raise JournalError(f"{path}: a SQLite file, but no journal of replay; ", ANOTHER)


def _what(error: sqlite3.Error) -> Message:
    """Say what an error of SQLite means, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    meanings = {
        sqlite3.SQLITE_BUSY: BUSY,
        sqlite3.SQLITE_LOCKED: BUSY,
        sqlite3.SQLITE_FULL: "the disk is full, and the journal cannot be written; make room and run this again",
        sqlite3.SQLITE_IOERR: "the journal cannot be read or written (disk full, or a fault of the disk)",
        sqlite3.SQLITE_READONLY: UNWRITTEN,
        sqlite3.SQLITE_PERM: UNWRITTEN,
        sqlite3.SQLITE_CANTOPEN: "the journal cannot be opened; check its path and permissions",
        sqlite3.SQLITE_CORRUPT: "the journal is damaged; restore it from a backup",
        sqlite3.SQLITE_NOTADB: Message("no journal of replay: it is no SQLite file; ", ANOTHER),
    }
    return Message(meanings.get(code, "the journal failed"), f" ({error})")
