"""Opens archives. The one place that imports DuckDB for a connection, and sets how it behaves."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from analyzer.archive import schema
from analyzer.errors import ArchiveError
from analyzer.readers.source import is_archive
from analyzer.text import is_utf8

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What the system answers on a file system that has none."""

MEMORY_MB_BASE = 100
MEMORY_MB_A_THREAD = 160


@contextmanager
def temp_directory() -> Iterator[Path]:
    """Give a directory for files on the way, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="analyzer-") as path:
        yield Path(path)


@contextmanager
def open_archive(path: Path | None, scratch: Path, *, read_only: bool) -> Iterator["DuckDBPyConnection"]:
    """Open the archive at `path`, made where there is none; without a path, one in memory.

    Raises:
        ArchiveError: the file is in use, is no archive, or one of another version.
    """
    if path and not is_utf8(str(path)):
        raise ArchiveError(f"{path}: not valid UTF-8, and DuckDB opens no file of such a name; rename it")
    if path and not _exists(path) and not read_only:
        _create(path, scratch)
    if path and not is_archive(path):
        empty = path.is_file() and not path.stat().st_size
        raise ArchiveError(
            f"{path}: an empty file, and no archive; remove it, or name another one"
            if empty
            else f"{path}: no archive, as it is no DuckDB file; name another one"
        )
    with shared_temp_directory(path) if path and read_only else nullcontext(scratch) as directory:
        connection = _opened(path, directory, read_only=read_only)
        try:
            if path:
                _check(connection, path)
            else:
                _make(connection)
            connection.execute("SET search_path = 'main,store'")
            yield connection
        finally:
            connection.close()


def checkpoint(connection: "DuckDBPyConnection", path: Path) -> None:
    """Write all that was loaded into the archive's own file.

    Raises:
        ArchiveError: it finds no room there.
    """
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    try:
        connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise ArchiveError(
            f"{path}: what was loaded is in {path.name}.wal beside it, as it cannot be written into the archive"
            f" ({error}); keep both together, make room, and run this again"
        ) from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}; name another file") from None


def _create(path: Path, scratch: Path) -> None:
    """Make an empty archive whole before it gets its name: with hard links, a kill leaves none, or a sound one."""
    import duckdb  # noqa: PLC0415  (a tenth of a second, only where it is needed)

    real = path.resolve()
    made = real.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with closing(_connect(made, scratch, read_only=False)) as connection:
            _make(connection)
        _name(made, real)
    except (duckdb.Error, OSError) as error:
        raise ArchiveError(f"{path}: no archive can be made there ({error}); make room, or name another file") from None
    finally:
        for left in (made, made.with_name(f"{made.name}.wal")):
            left.unlink(missing_ok=True)


def _name(made: Path, path: Path) -> None:
    """Give an archive its name, unless another process was faster: its archive is as good."""
    try:
        path.hardlink_to(made)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        _replace(made, path)


def _replace(made: Path, path: Path) -> None:
    """Give an archive its name on a file system without hard links: an empty file is there for a moment."""
    with suppress(FileExistsError):
        path.open("xb").close()
        try:
            made.replace(path)
        except OSError:
            path.unlink()
            raise


def _opened(path: Path | None, directory: Path, *, read_only: bool) -> "DuckDBPyConnection":
    import duckdb  # noqa: PLC0415  (a tenth of a second, only where it is needed)

    try:
        return _connect(path, directory, read_only=read_only)
    except duckdb.Error as error:
        raise ArchiveError(_why_not(path, str(error))) from None


def _connect(path: Path | None, directory: Path, *, read_only: bool) -> "DuckDBPyConnection":
    import duckdb  # noqa: PLC0415  (a tenth of a second, only where it is needed)

    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{MEMORY_MB_BASE + MEMORY_MB_A_THREAD * (os.cpu_count() or 1)}MB",
        "temp_directory": str(directory / "spill"),
    }
    connection = duckdb.connect(str(path or ":memory:"), read_only=read_only and path is not None, config=config)
    connection.execute("SET TimeZone = 'UTC'")
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")
    return connection


def _why_not(path: Path | None, error: str) -> str:
    if "Conflicting lock" in error or "being used by another process" in error:
        return f"{path}: another process is using the archive; run this again when it has finished ({error})"
    if "different configuration" in error:
        return f"{path}: this program has the archive open already, and only readers share one; close it there first"
    return f"{path}: cannot be opened as an archive; name another file, or load the logs again ({error})"


def _make(connection: "DuckDBPyConnection") -> None:
    """Make the archive's relations in an empty database."""
    connection.execute("BEGIN")
    connection.execute(schema.MACROS + schema.TABLES + schema.VIEWS)
    connection.execute("INSERT INTO store.meta VALUES ($version)", {"version": schema.VERSION})
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT")


def _check(connection: "DuckDBPyConnection", path: Path) -> None:
    """Refuse a database that is no archive, or one of another version."""
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    try:
        version = connection.execute("SELECT max(version) FROM store.meta").fetchone()
    except duckdb.Error:
        version = None
    if version != (schema.VERSION,):
        raise ArchiveError(
            f"{path}: a DuckDB file, but no archive of this version; name another, and load the logs again"
        )


@dataclass(slots=True)
class _TempDirectory:
    directory: Path
    readers: int = 0


_temp_directories: dict[Path, _TempDirectory] = {}
_temp_lock = Lock()


@contextmanager
def shared_temp_directory(archive: Path) -> Iterator[Path]:
    """Give the directory that the readers of an archive spill to; it goes with the last of them."""
    archive = archive.resolve()
    with _temp_lock:
        if archive not in _temp_directories:
            _temp_directories[archive] = _TempDirectory(Path(tempfile.mkdtemp(prefix="analyzer-")))
        spill = _temp_directories[archive]
        spill.readers += 1
    try:
        yield spill.directory
    finally:
        with _temp_lock:
            spill.readers -= 1
            if not spill.readers:
                del _temp_directories[archive]
                shutil.rmtree(spill.directory, ignore_errors=True)
