"""Opens the journal's SQLite file, and refuses one that may have lost what was sent last.

SQLite keeps the latest writes in a second file, NAME-wal, until the journal is closed. A copy of the main file alone
would therefore know less than was sent, and its events would be sent twice. To detect this, the main file carries an
open counter: each opening and each closing for writing adds one, so that it is odd while the journal is open. A -wal
file from another time does not fit the counter. One process at a time writes, guarded by the lock file NAME-lock.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from analyzer.errors import JournalError, Message, Option

PAGE_BYTES = 16384  # large pages waste less of a chunk's row: 18 bytes per event in chunks of 100

MAGIC = b"SQLite format 3\0"
COUNTER, APPLICATION = slice(60, 64), slice(68, 72)  # user_version, our open counter, and application_id in the header
APPLICATION_ID = 0x63657265
MAX_WAL_LEAD = 2  # how far the counter in the -wal may be ahead of the main file's: 1, or 2 after a run that was killed
NAME_ANOTHER = Message("name another ", Option("journal"))
NOT_WRITABLE = Message("the journal cannot be written; check its permissions, or ", NAME_ANOTHER)
BUSY = "another replay is using the journal; run this again when it has ended"
SET_COUNTER = "PRAGMA user_version = {}"
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"

MEANINGS = {
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_FULL: "the disk is full and the journal cannot be written; make room and run this again",
    sqlite3.SQLITE_IOERR: "the journal cannot be read or written (disk full, or a disk fault)",
    sqlite3.SQLITE_READONLY: NOT_WRITABLE,
    sqlite3.SQLITE_PERM: NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: "the journal cannot be opened; check its path and permissions",
    sqlite3.SQLITE_CORRUPT: "the journal is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: Message("not a replay journal (not a SQLite file); ", NAME_ANOTHER),
}


@contextmanager
def journal_errors(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the operating system as JournalError, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        meaning = MEANINGS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "the journal failed")
        raise JournalError(f"{path}: ", meaning, f" ({error})") from None
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be opened ({error.strerror}); check its permissions") from None


@contextmanager
def open_for_writing(path: Path, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """Open a journal for writing; a new one is created with the SQL statements `tables`."""
    real = _real_path(path)
    with ExitStack() as stack:
        stack.enter_context(_exclusive(_beside(real, "lock")))
        if not real.exists():
            _require_no_wal(path, _beside(real, "wal"))
            _create(real, tables)
        _require_whole(path, real)
        stack.callback(_keep_wal, real)
        database = stack.enter_context(closing(_connect(real, "rw")))
        _require_journal(path, database)
        stack.enter_context(_counted(path, database))
        yield database


@contextmanager
def open_for_reading(path: Path, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading, also while a replay writes it; one that does not exist is empty."""
    if not path.exists():
        with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as database:
            database.executescript(";".join(tables))
            yield database
        return
    real = _real_path(path)
    counter = _open_counter(real)
    _require_whole(path, real)
    # Immutable, because SQLite would otherwise leave an empty -wal beside a journal that is only read.
    is_closed = not (counter or 0) % 2 and not _beside(real, "wal").exists()
    with closing(_connect(real, "ro&immutable=1" if is_closed else "ro")) as database:
        _require_journal(path, database)
        yield database
    if is_closed and _open_counter(real) != counter:  # what was read may be torn
        raise JournalError(f"{path}: a replay began to write it while it was read; run this again")


def _real_path(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    if real.is_symlink() or (real.exists() and not real.is_file()):
        raise JournalError(f"{path}: not a regular file; ", NAME_ANOTHER)
    return real


def _beside(path: Path, role: str) -> Path:
    return path.with_name(f"{path.name}-{role}")


def journal_files(path: Path) -> list[Path]:
    """Return the paths of all files of a journal."""
    real = Path(os.path.realpath(path))
    return [real, *(_beside(real, role) for role in ("wal", "shm", "lock"))]


@contextmanager
def _exclusive(lock: Path) -> Iterator[None]:
    """Lock a file beside the journal: a lock on the journal itself would keep readers out."""
    with closing(sqlite3.connect(lock, isolation_level=None, timeout=0, check_same_thread=False)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _create(path: Path, tables: Sequence[str]) -> None:
    """Create a journal under a temporary name and rename it: an incomplete one must never have the real name."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    settings = (f"page_size = {PAGE_BYTES}", "synchronous = FULL", f"application_id = {APPLICATION_ID}")
    try:
        with closing(_connect(unfinished, "rwc")) as database:
            for statement in (*(f"PRAGMA {setting}" for setting in settings), "BEGIN", *tables, "COMMIT"):
                database.execute(statement)
            # WAL mode comes last: SQLite does not report what a full disk loses when it closes a -wal.
            database.execute("PRAGMA journal_mode = WAL")
        unfinished.rename(path)
    finally:
        for file in (unfinished, *(_beside(unfinished, role) for role in ("wal", "shm", "journal"))):
            file.unlink(missing_ok=True)


@contextmanager
def _counted(path: Path, database: sqlite3.Connection) -> Iterator[None]:
    """Keep the open counter odd while the journal is open: durably in the main file first, then in the -wal."""
    database.execute("PRAGMA synchronous = FULL")
    _checkpoint(path, database)
    before = database.execute("PRAGMA user_version").fetchone()[0]
    counter = before + 1 + before % 2  # the next odd number; after a kill `before` is odd itself
    database.execute(SET_COUNTER.format(counter))
    _checkpoint(path, database)
    database.execute(SET_COUNTER.format(counter))
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # the counter then stays odd, which _keep_wal handles
            database.execute(CHECKPOINT)
            database.execute(SET_COUNTER.format(counter + 1))


def _checkpoint(path: Path, database: sqlite3.Connection) -> None:
    if database.execute(CHECKPOINT).fetchone()[0]:
        raise JournalError(f"{path}: the journal is being read; run this again when that has ended")


def _keep_wal(real: Path) -> None:
    """Leave an empty -wal beside a closed file whose counter stayed odd because the disk was full: nothing is lost."""
    with suppress(OSError):
        if _is_open(real) and not _beside(real, "wal").exists():
            _beside(real, "wal").touch()


def _require_whole(path: Path, real: Path) -> None:
    """Raise JournalError if the -wal is missing or from another time: SQLite would write a foreign one into it."""
    wal = _beside(real, "wal")
    # Checked twice: a run that closes in between removes the -wal and makes the counter even.
    if _is_open(real) and not wal.exists() and _is_open(real):
        problem = f"{path}: the last run did not close it, and {wal.name}, which holds what was sent last, is missing"
        advice = "restore it too (or create an empty file of that name, if events may be sent twice)"
        raise JournalError(f"{problem}; {advice}")
    counter = _open_counter(real)
    if counter is None or not wal.exists() or not wal.stat().st_size:
        return
    with closing(_connect(real, "ro")) as database:
        lead = database.execute("PRAGMA user_version").fetchone()[0] - counter
    if not 0 <= lead <= MAX_WAL_LEAD:
        raise JournalError(f"{path}: {wal.name} is from another time than the journal; restore both from one time")


def _require_no_wal(path: Path, wal: Path) -> None:
    if wal.exists() and wal.stat().st_size:
        problem = f"{path}: there is no such journal, but {wal.name} holds a part of one; restore the journal beside it"
        raise JournalError(f"{problem}, or remove that file too")
    wal.unlink(missing_ok=True)


def _is_open(path: Path) -> bool:
    return bool((_open_counter(path) or 0) % 2)


def _open_counter(path: Path) -> int | None:
    """Return the open counter in the main file's header; None if the file is not a journal."""
    with path.open("rb") as file:
        header = file.read(100)
    is_journal = header.startswith(MAGIC) and int.from_bytes(header[APPLICATION]) == APPLICATION_ID
    return int.from_bytes(header[COUNTER]) if is_journal else None


def _require_journal(path: Path, database: sqlite3.Connection) -> None:
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not names and not path.stat().st_size:
        raise JournalError(f"{path}: an empty file, not a journal of what was sent; remove it, or ", NAME_ANOTHER)
    if not {"meta", "destination", "chunk", "outcome"} <= names:
        raise JournalError(f"{path}: a SQLite file, but not a replay journal; ", NAME_ANOTHER)
