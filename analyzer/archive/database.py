"""Opens DuckDB connections to archives: the only module that does, so all share one configuration."""

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import duckdb
from duckdb import DuckDBPyConnection

from analyzer.archive import schema
from analyzer.archive.leftovers import temp_directory, unfinished_path
from analyzer.errors import ArchiveError
from analyzer.readers.source import is_archive
from analyzer.readers.storage import NO_HARD_LINKS
from analyzer.text import is_utf8, sql_text

PARQUET_NAME = re.compile(r"""["']([^"']+\.parquet)["']""")  # in an error
BASE_MEMORY_MB = 100
MEMORY_MB_PER_THREAD = 250


@contextmanager
def database_errors() -> Iterator[None]:
    """Convert errors of the database that nothing else handles, such as a full disk, to ArchiveError."""
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise ArchiveError(explain_error(error)) from None


def explain_error(error: Exception) -> str:
    """Return what an error of the database that nothing else handles means, and what to do."""
    name = PARQUET_NAME.search(str(error))
    if name and isinstance(error, duckdb.IOException | duckdb.InvalidInputException):
        return (
            f"{name[1]}: this file is missing or damaged; of a lake, an export may have replaced it: run this again, or"
            " export the logs to another place"
        )
    reason = str(error).splitlines()[0]
    return f"the database failed: {reason}; free memory or disk space, or load the logs again"


@contextmanager
def interrupted_by_signals(connection: DuckDBPyConnection, *, exit_on_second: bool = False) -> Iterator[None]:
    """Interrupt the connection on Ctrl-C; with `exit_on_second`, a second Ctrl-C ends the process.

    Python runs signal handlers in the main thread only, which a long step of a query blocks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # other threads get no signals
        return
    watched, woken = socket.socketpair()
    woken.settimeout(0)  # signal.set_wakeup_fd requires a socket that does not block
    previous = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch_signals, args=(watched, connection, exit_on_second), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        woken.close()
        watcher.join()
        watched.close()


def _watch_signals(watched: socket.socket, connection: DuckDBPyConnection, exit_on_second: bool) -> None:  # noqa: FBT001
    """Read the numbers of signals until the socket is closed."""
    count = 0
    while data := watched.recv(1):
        if data[0] == signal.SIGINT:
            count += 1
            if count > 1 and exit_on_second:
                os._exit(128 + signal.SIGINT)
            connection.interrupt()


def forbid_file_access(connection: DuckDBPyConnection, directories: Sequence[str] = ()) -> None:
    """From here on, SQL reaches no network, and only files in `directories` and in DuckDB's temporary directory."""
    if directories:
        allowed = ", ".join(sql_text(f"{directory}/") for directory in directories)
        connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")


def write_result(connection: DuckDBPyConnection, sql: str, options: str) -> Path:
    """Write the rows of a query to a file while it runs, and return the file; `options` are those of DuckDB's COPY."""
    with NamedTemporaryFile(dir=_duckdb_directory(connection), delete=False) as file:
        path = Path(file.name)
    connection.execute(f"COPY ({sql}) TO {sql_text(str(path))} ({options})")
    return path


@contextmanager
def temporary_directory(connection: DuckDBPyConnection) -> Iterator[Path]:
    """Create a directory to which a connection has access that has none to other files; it is deleted on exit."""
    with TemporaryDirectory(dir=_duckdb_directory(connection)) as directory:
        yield Path(directory)


def _duckdb_directory(connection: DuckDBPyConnection) -> str:
    """Return DuckDB's directory for temporary files."""
    directory: str = connection.execute("SELECT current_setting('temp_directory')").fetchall()[0][0]
    Path(directory).mkdir(exist_ok=True)
    return directory


@contextmanager
def open_archive(
    path: Path | None, workspace: Path, *, read_only: bool, memory_mb: float | None = None
) -> Iterator[DuckDBPyConnection]:
    """Open the archive at `path`, or one in memory if `path` is None. Unless `read_only`, a missing file is created.

    What takes more than `memory_mb` is written to the disk while a query runs.

    Raises:
        ArchiveError: the file is in use, is not an archive, or is an archive of another version.
    """
    if path:
        _prepare_file(path, workspace, read_only=read_only)
    with _shared_temp_directory(path) if path and read_only else nullcontext(workspace) as directory:
        try:
            connection = _connect(path, directory, read_only=read_only, memory_mb=memory_mb)
        except duckdb.Error as error:
            raise ArchiveError(_explain_open_error(path, str(error))) from None
        with closing(connection):
            if path:
                _check_version(connection, path)
            else:
                _create_relations(connection)
            connection.execute("SET search_path = 'main,store'")
            yield connection


@contextmanager
def rewrite_archive(path: Path, workspace: Path) -> Iterator[DuckDBPyConnection]:
    """Open a new archive, with that at `path` attached as `old`; without an error, it then takes the place of that.

    Raises:
        ArchiveError: as for `open_archive`, or the new archive cannot be written.
    """
    with open_archive(path, workspace, read_only=False) as connection:
        checkpoint(connection, path)  # so that no write-ahead log of the old archive is left beside the new one
    target = path.resolve()
    part = unfinished_path(target)
    try:
        with closing(_connect(part, workspace, read_only=False)) as connection:
            _create_relations(connection)
            connection.execute(f"ATTACH {sql_text(str(target))} AS old (READ_ONLY)")
            if target.with_name(f"{target.name}.wal").exists():  # it would be taken for that of the new archive
                raise ArchiveError(f"{path}: another process was writing to the archive; run this again")
            yield connection
            connection.execute("CHECKPOINT")
            shutil.copymode(target, part)
            part.replace(target)  # while it is attached, so that no other process has written to it
    except (duckdb.Error, OSError) as error:
        raise ArchiveError(f"{path}: it cannot be written anew ({error}); it is as it was") from None
    finally:
        for leftover in (part, part.with_name(f"{part.name}.wal")):
            leftover.unlink(missing_ok=True)


def checkpoint(connection: DuckDBPyConnection, path: Path) -> None:
    """Move everything that was loaded from the write-ahead log into the archive file.

    Raises:
        ArchiveError: it could not be written; it is still in the write-ahead log.
    """
    try:
        connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise ArchiveError(
            f"{path}: the loaded events are in {path.name}.wal, as they cannot be written into the archive ({error});"
            " free some space, keep both files together, and run this again"
        ) from None


def _prepare_file(path: Path, workspace: Path, *, read_only: bool) -> None:
    """Create a missing archive; raise ArchiveError unless the file is a DuckDB database."""
    if not is_utf8(str(path)):
        raise ArchiveError(f"{path}: the name is not valid UTF-8, which DuckDB cannot open; rename the file")
    try:
        if not path.exists() and not read_only:
            _create_file(path, workspace)
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}; choose another file") from None
    if is_archive(path):
        return
    if path.is_file() and not path.stat().st_size:
        raise ArchiveError(f"{path}: not an archive (an empty file); delete it, or choose another file")
    raise ArchiveError(f"{path}: not an archive (not a DuckDB file); choose another file")


def _create_file(path: Path, workspace: Path) -> None:
    """Create an empty archive under a temporary name, then link it to `path`: it is there complete, or not at all."""
    target = path.resolve()
    part = unfinished_path(target)
    try:
        with closing(_connect(part, workspace, read_only=False)) as connection:
            _create_relations(connection)
        _publish(part, target)
    except (duckdb.Error, OSError) as error:
        raise ArchiveError(
            f"{path}: the archive cannot be created ({error}); free some space, or choose another file"
        ) from None
    finally:
        for leftover in (part, part.with_name(f"{part.name}.wal")):
            leftover.unlink(missing_ok=True)


def _publish(part: Path, target: Path) -> None:
    """Give a complete archive its name, unless another process has created one there in the meantime."""
    with suppress(FileExistsError):
        try:
            target.hardlink_to(part)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            # Without hard links, the name is claimed by an empty file, which exists for a moment.
            target.open("xb").close()
            try:
                part.replace(target)
            except OSError:
                target.unlink()
                raise


def _connect(
    path: Path | None, directory: Path, *, read_only: bool, memory_mb: float | None = None
) -> DuckDBPyConnection:
    default_mb = BASE_MEMORY_MB + MEMORY_MB_PER_THREAD * (os.cpu_count() or 1)
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{memory_mb or default_mb}MB",
        "temp_directory": str(directory / "duckdb"),
    }
    # An absolute path has no prefix, such as `md:` or `sqlite:`, by which DuckDB would choose an extension.
    connection = duckdb.connect(
        str(path.absolute()) if path else ":memory:", read_only=read_only and path is not None, config=config
    )
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB turns its own progress bar on in terminals and notebooks.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")
    return connection


def _explain_open_error(path: Path | None, error: str) -> str:
    if "Conflicting lock" in error or "being used by another process" in error:
        return f"{path}: another process is using the archive; run this again when it has finished ({error})"
    if "Permission denied" in error:
        return f"{path}: no permission to open it; check its permissions ({error})"
    if "different configuration" in error:
        return f"{path}: this program has the archive open already, and only readers can share it; close it first"
    return f"{path}: cannot be opened as an archive; choose another file, or load the logs again ({error})"


def _create_relations(connection: DuckDBPyConnection) -> None:
    """Create the archive's macros, tables and views in an empty database."""
    connection.execute("BEGIN")
    connection.execute(schema.MACROS + schema.TABLES + schema.VIEWS)
    connection.execute("INSERT INTO store.meta VALUES ($version)", {"version": schema.VERSION})
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT")


def _check_version(connection: DuckDBPyConnection, path: Path) -> None:
    """Raise ArchiveError unless the database is an archive of this version."""
    try:
        version = connection.execute("SELECT max(version) FROM store.meta").fetchone()
    except duckdb.Error:
        version = None
    if version != (schema.VERSION,):
        raise ArchiveError(
            f"{path}: a DuckDB file, but not an archive of this version; load the logs into another file"
        )


_shared_directories: dict[Path, tuple[ExitStack, Path, int]] = {}  # the directory and its users, by archive
_shared_directories_lock = threading.Lock()


@contextmanager
def _shared_temp_directory(archive: Path) -> Iterator[Path]:
    """Return the temp directory of all connections that read `archive`; the last to close deletes it.

    In one process, DuckDB opens a file twice only with the same configuration, which includes the temp directory.
    """
    archive = archive.resolve()
    with _shared_directories_lock:
        if archive not in _shared_directories:
            stack = ExitStack()
            _shared_directories[archive] = (stack, stack.enter_context(temp_directory()), 0)
        stack, directory, users = _shared_directories[archive]
        _shared_directories[archive] = (stack, directory, users + 1)
    try:
        yield directory
    finally:
        with _shared_directories_lock:
            stack, _, users = _shared_directories.pop(archive)
            if users > 1:
                _shared_directories[archive] = (stack, directory, users - 1)
            else:
                stack.close()
