"""Opens archives. The one place that imports DuckDB for a connection, and sets how it behaves."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.archive import schema
from analyzer.errors import ArchiveError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_MB_BASE = 100
MEMORY_MB_A_THREAD = 160


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a directory for files on the way, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="analyzer-") as path:
        yield Path(path)


@contextmanager
def archive(path: Path | None, scratch: Path, *, read_only: bool) -> Iterator["DuckDBPyConnection"]:
    """Open the archive at `path`, made where there is none; without a path, one in memory.

    Raises:
        ArchiveError: the file is in use, is no archive, or one of another version.
    """
    connection = _connect(path, scratch, read_only=read_only)
    try:
        _prepare(connection, path)
        yield connection
    finally:
        connection.close()


def _connect(path: Path | None, scratch: Path, *, read_only: bool) -> "DuckDBPyConnection":
    import duckdb  # noqa: PLC0415  (a tenth of a second, only where it is needed)

    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{MEMORY_MB_BASE + MEMORY_MB_A_THREAD * (os.cpu_count() or 1)}MB",
        "temp_directory": str(scratch / "spill"),
    }
    try:
        connection = duckdb.connect(str(path or ":memory:"), read_only=read_only and path is not None, config=config)
    except duckdb.Error as error:
        raise ArchiveError(_why_not(path, str(error))) from None
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def _why_not(path: Path | None, error: str) -> str:
    if "lock" in error:
        return f"{path}: another process is using the archive; run this again when it has finished ({error})"
    return f"{path}: cannot be opened as an archive; name another file, or load the logs again ({error})"


def _prepare(connection: "DuckDBPyConnection", path: Path | None) -> None:
    """Make the archive's relations in an empty database; refuse one that is not ours."""
    tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() if path else []
    names = {name for (name,) in tables}
    if not names:
        connection.execute("BEGIN")
        connection.execute(schema.TABLES + schema.VIEWS)
        connection.execute("INSERT INTO store.meta VALUES ($version)", {"version": schema.VERSION})
        connection.execute("COMMIT")
        return
    version = connection.execute("SELECT max(version) FROM store.meta").fetchone() if "meta" in names else None
    if version != (schema.VERSION,):
        raise ArchiveError(
            f"{path}: a DuckDB file, but no archive of this version; name another, and load the logs again"
        )
