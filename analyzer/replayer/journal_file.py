"""The journal's file: made whole before it has its name, of one writer at a time, known to be whole when read.

SQLite keeps what was written last in a second file beside it, NAME-wal, until the journal is closed. So for as long as
it is open, the first is marked: a copy of it without the second knows less than was sent, and is refused. The mark
counts, up by one with each opening and each closing, so that it is odd while the journal is open, and a second file of
another time is known.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from analyzer.errors import JournalError, Message, Option

PAGE_BYTES = 16384
"""Large pages waste less of a chunk's row: 18 bytes an event in chunks of 100."""

MAGIC = b"SQLite format 3\0"
MARK, OWNER = slice(60, 64), slice(68, 72)
"""Where SQLite's header has `user_version`, the mark, and `application_id`."""

MOST_AHEAD = 2
"""So much the -wal may be ahead of the file: marked once more, after a run that did not close it."""

OURS = 0x63657265

ANOTHER = Message("name another ", Option("journal"))
UNWRITTEN = Message("the journal cannot be written; check its permissions, or ", ANOTHER)
SET_MARK = "PRAGMA user_version = {}"
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
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
    real = _real(path)
    with ExitStack() as stack:
        stack.enter_context(_turn(beside(real, "lock")))
        if not real.exists():
            _require_alone(path, beside(real, "wal"))
            _make(real, tables)
        _require_whole(path, real)
        stack.callback(_keep_whole, real)
        database = stack.enter_context(closing(_connect(real, "rw")))
        _require_journal(path, database)
        stack.enter_context(_marked(path, database))
        yield database


@contextmanager
def read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading. One that is closed is read as it stands: SQLite would leave an empty -wal beside it.

    Raises:
        JournalError: a replay has begun to write into it meanwhile.
    """
    real = _real(path)
    state = _state_of(real)
    _require_whole(path, real)
    is_closed = not _is_open(real) and not beside(real, "wal").exists()
    with closing(_connect(real, "ro&immutable=1" if is_closed else "ro")) as database:
        _require_journal(path, database)
        yield database
    if is_closed and _state_of(real) != state:
        raise JournalError(f"{path}: a replay began while it was read; run this again")


def _state_of(real: Path) -> tuple[int, int]:
    found = real.stat()
    return found.st_mtime_ns, found.st_size


def _real(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    if real.is_symlink() or (real.exists() and not real.is_file()):
        raise JournalError(f"{path}: no file; ", ANOTHER)
    return real


def beside(path: Path, role: str) -> Path:
    """Return the file beside a journal: its `wal`, `shm` or `lock`."""
    return path.with_name(f"{path.name}-{role}")


def family(path: Path) -> list[Path]:
    """Return all files that are a journal's."""
    real = Path(os.path.realpath(path))
    return [real, *(beside(real, role) for role in ("wal", "shm", "lock"))]


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
    made.unlink(missing_ok=True)
    settings = (f"page_size = {PAGE_BYTES}", "synchronous = FULL", f"application_id = {OURS}")
    try:
        with closing(_connect(made, "rwc")) as database:
            for statement in (*(f"PRAGMA {one}" for one in settings), "BEGIN", *tables, "COMMIT"):
                database.execute(statement)
            database.execute("PRAGMA journal_mode = WAL")  # last: what a full disk leaves out of a -wal goes unsaid
        made.rename(path)
    finally:
        for left in (made, *(beside(made, role) for role in ("wal", "shm", "journal"))):
            left.unlink(missing_ok=True)


@contextmanager
def _marked(path: Path, database: sqlite3.Connection) -> Iterator[None]:
    """Mark the file itself as open, durably, for so long, and then the other one."""
    database.execute("PRAGMA synchronous = FULL")
    _checkpoint(path, database)
    before = database.execute("PRAGMA user_version").fetchone()[0]
    mark = before + 1 + before % 2
    database.execute(SET_MARK.format(mark))
    _checkpoint(path, database)
    database.execute(SET_MARK.format(mark))
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # it stays marked
            database.execute(CHECKPOINT)
            database.execute(SET_MARK.format(mark + 1))


def _checkpoint(path: Path, database: sqlite3.Connection) -> None:
    if database.execute(CHECKPOINT).fetchone()[0]:
        raise JournalError(f"{path}: the journal is being read; run this again when that has ended")


def _keep_whole(real: Path) -> None:
    """Leave an empty -wal beside a file that is closed and yet marked, as its disk is full: it lacks nothing."""
    with suppress(OSError):
        if _is_open(real) and not beside(real, "wal").exists():
            beside(real, "wal").touch()


def _require_whole(path: Path, real: Path) -> None:
    """Refuse a file whose last part is missing, or is of another time: SQLite would write that into it."""
    wal = beside(real, "wal")
    if _is_open(real) and not wal.exists() and _is_open(real):
        raise JournalError(
            f"{path}: its run has not closed it, and {wal.name}, which holds what was sent last, is not beside it;"
            " bring that file back too (an empty one in its place accepts that events may be sent twice)"
        )
    mark = _mark_of(real)
    if mark is None or not wal.exists() or not wal.stat().st_size:
        return
    with closing(_connect(real, "ro")) as database:
        ahead = database.execute("PRAGMA user_version").fetchone()[0] - mark
    if not 0 <= ahead <= MOST_AHEAD:
        raise JournalError(f"{path}: {wal.name} is of another time than it; bring both of one time")


def _require_alone(path: Path, wal: Path) -> None:
    if not wal.exists():
        return
    if wal.stat().st_size:
        raise JournalError(
            f"{path}: there is no such journal, but {wal.name} has a part of one: bring the journal back beside it, or"
            " remove that too"
        )
    wal.unlink()


def _is_open(path: Path) -> bool:
    return bool((_mark_of(path) or 0) % 2)


def _mark_of(path: Path) -> int | None:
    """Return the mark in the file itself; None where it is no journal."""
    with path.open("rb") as file:
        header = file.read(100)
    is_journal = header.startswith(MAGIC) and int.from_bytes(header[OWNER]) == OURS
    return int.from_bytes(header[MARK]) if is_journal else None


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
