"""Opens the journal's SQLite file.

SQLite's rollback journal is used, not its write-ahead log: everything that was committed is in the main file, so a copy
of that file alone knows all that was sent. While a transaction is written, NAME-journal holds the pages as they were
before it; what a killed run left of one is rolled back when the journal is next opened. One process at a time writes,
guarded by the lock file NAME-lock.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from analyzer.errors import JournalError, Message, Option

PAGE_BYTES = 16384  # large pages waste less of a chunk's row: 18 bytes per event in chunks of 100

MAGIC, ROLLBACK_MAGIC = b"SQLite format 3\0", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
CHANGE_COUNTER = slice(24, 28)  # in the header of the main file, on its first page
BUSY_SECONDS = 30  # readers and the writer wait for each other
NAME_ANOTHER = Message("name another ", Option("journal"))
NOT_WRITABLE = Message("the journal cannot be written; check its permissions, or ", NAME_ANOTHER)
BUSY = "another replay is using the journal; run this again when it has ended"

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
            _require_no_rollback(path, _beside(real, "journal"))
            _create(real, tables)
        _require_own_rollback(path, real)
        database = stack.enter_context(closing(_connect(real, "rw")))
        _require_journal(path, database)
        # EXTRA: a commit is durable also if the machine fails, as the removal of NAME-journal is.
        database.execute("PRAGMA synchronous = EXTRA")
        # Two transactions, so that no NAME-journal from before this opening can still fit (see _require_own_rollback).
        for _ in range(2):
            openings = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version = {openings + 1}")
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
    _require_own_rollback(path, real)
    # SQLite writes nothing unless it must roll back what a killed run left.
    with closing(_connect(real, "rw")) as database:
        _require_journal(path, database)
        database.execute("PRAGMA query_only = on")
        yield database


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
    return [real, *(_beside(real, role) for role in ("journal", "lock"))]


@contextmanager
def _exclusive(lock: Path) -> Iterator[None]:
    """Lock a file beside the journal: a lock on the journal itself would keep readers out."""
    with closing(sqlite3.connect(lock, isolation_level=None, timeout=0, check_same_thread=False)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)


def _create(path: Path, tables: Sequence[str]) -> None:
    """Create a journal under a temporary name and rename it: an incomplete one must never have the real name."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    settings = (f"page_size = {PAGE_BYTES}", "synchronous = EXTRA")
    try:
        with closing(_connect(unfinished, "rwc")) as database:
            for statement in (*(f"PRAGMA {setting}" for setting in settings), "BEGIN", *tables, "COMMIT"):
                database.execute(statement)
        unfinished.rename(path)
    finally:
        for file in (unfinished, _beside(unfinished, "journal")):
            file.unlink(missing_ok=True)


def _require_no_rollback(path: Path, rollback: Path) -> None:
    if rollback.exists() and rollback.stat().st_size:
        problem = f"{path}: there is no such journal, but {rollback.name} belongs to one; restore the journal beside it"
        raise JournalError(f"{problem}, or remove that file too")


def _require_own_rollback(path: Path, real: Path) -> None:
    """Raise JournalError if NAME-journal is from another time: SQLite would restore old pages, without what was sent.

    Each transaction adds one to the change counter on the first page, so the page as it was before the transaction has
    the counter of the main file, or one less.
    """
    rollback = _beside(real, "journal")
    try:
        with real.open("rb", buffering=0) as main, rollback.open("rb") as file:
            counter, before = _change_counter(main), _first_page(file)
            is_being_written = _change_counter(main) != counter  # by a run that goes on
    except FileNotFoundError:
        return
    if counter is None or before is None or is_being_written:
        return
    if counter - int.from_bytes(before[CHANGE_COUNTER]) not in (0, 1):
        raise JournalError(f"{path}: {rollback.name} is from another time than the journal; restore both from one time")


def _change_counter(main: BinaryIO) -> int | None:
    """Return the change counter of the main file; None if it is not a SQLite file."""
    main.seek(0)
    header = main.read(CHANGE_COUNTER.stop)
    return int.from_bytes(header[CHANGE_COUNTER]) if header.startswith(MAGIC) else None


def _first_page(rollback: BinaryIO) -> bytes | None:
    """Return the first page of the main file as the rollback journal holds it; None if it does not.

    The format is SQLite's (https://sqlite.org/fileformat2.html#the_rollback_journal): a header in a sector of its own,
    then records of page number, page and checksum.
    """
    header = rollback.read(28)
    if len(header) < 28 or not header.startswith(ROLLBACK_MAGIC):  # noqa: PLR2004  (the size of the header)
        return None
    sector_bytes, page_bytes = int.from_bytes(header[20:24]), int.from_bytes(header[24:28])
    rollback.seek(sector_bytes)
    while record := rollback.read(4 + page_bytes + 4):
        if int.from_bytes(record[:4]) == 1:
            return record[4:]
    return None


def _require_journal(path: Path, database: sqlite3.Connection) -> None:
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not names and not path.stat().st_size:
        raise JournalError(f"{path}: an empty file, not a journal of what was sent; remove it, or ", NAME_ANOTHER)
    if not {"meta", "destination", "chunk", "outcome"} <= names:
        raise JournalError(f"{path}: a SQLite file, but not a replay journal; ", NAME_ANOTHER)
