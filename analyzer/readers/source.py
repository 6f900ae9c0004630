"""Expands SOURCE (files, directories, globs, `-`, or one archive) into the list of files to read."""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from analyzer.errors import UnreadableError, UsageError, unreadable_error
from analyzer.readers.containers import is_container, unpack
from analyzer.text import replace_surrogates

ARCHIVE_MAGIC, ARCHIVE_MAGIC_OFFSET = b"DUCK", 8


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to read."""

    path: Path
    name: str  # in reports and messages
    named: bool  # by the user, not found by a directory or glob: it must then be readable as a log


@dataclass(frozen=True, slots=True)
class Sources:
    """Result of expanding SOURCE: either an archive, or files, and an error for each source that has none."""

    archive: Path | None
    files: tuple[LogFile, ...]
    errors: tuple[UnreadableError, ...]


def is_archive(path: Path) -> bool:
    """Return whether a file is a DuckDB database, judged by its content."""
    with suppress(OSError):
        if path.is_file():  # opening a pipe would block
            with path.open("rb") as file:
                return file.read(ARCHIVE_MAGIC_OFFSET + len(ARCHIVE_MAGIC))[ARCHIVE_MAGIC_OFFSET:] == ARCHIVE_MAGIC
    return False


def expand_sources(sources: Sequence[str], stdin: BinaryIO | None, workspace: Path) -> Sources:
    """Return the files that `sources` stand for; pipes and standard input are copied into `workspace`."""
    if "" in sources:
        raise UsageError("SOURCE is empty; check for an unset variable, or name a log, a directory, or - for stdin")
    archives = [Path(source) for source in sources if source != "-" and is_archive(Path(source))]
    if archives and len(sources) > 1:
        raise UsageError(f"{archives[0]}: an archive cannot be combined with other sources; load the logs into it")
    if archives:
        return Sources(archives[0], (), ())
    files: list[LogFile] = []
    errors: list[UnreadableError] = []
    for source in sources:
        try:
            # One by one: files found before an error count.
            for file in _expand(source, stdin, workspace):
                files.append(file)  # noqa: PERF402
        except UnreadableError as error:
            errors.append(error)
        except OSError as error:
            errors.append(unreadable_error(source, error))
    return Sources(None, tuple(files), tuple(errors))


def _expand(source: str, stdin: BinaryIO | None, workspace: Path) -> Iterator[LogFile]:
    path = Path(source)
    if source == "-":
        if stdin is None:
            raise UnreadableError("-: standard input is closed; name a file")
        yield _copy_stream(stdin, workspace, source)
    elif path.is_fifo() or path.is_char_device():  # such as `<(zcat log.gz)` of a shell
        with path.open("rb") as pipe:
            yield _copy_stream(pipe, workspace, source)
    elif path.is_dir():
        for file in _walk(path):
            yield from _unpacked(LogFile(file, replace_surrogates(str(file)), named=False), workspace)
    elif path.exists():
        yield from _unpacked(LogFile(path, replace_surrogates(source), named=True), workspace)
    elif glob.has_magic(source):
        names = sorted(filter(os.path.isfile, glob.iglob(source, recursive=True)))  # noqa: PTH207  (absolute patterns)
        if not names:
            raise UnreadableError(f"{source}: no file matches this pattern")
        for name in names:
            yield from _unpacked(LogFile(Path(name), replace_surrogates(name), named=False), workspace)
    else:
        raise UnreadableError(f"{source}: no such file or directory; name a log, a directory, a glob or - for stdin")


def _unpacked(file: LogFile, workspace: Path) -> Iterator[LogFile]:
    """Yield the file, or the files in it if it is a zip or tar."""
    try:
        is_packed = is_container(file.path)
    except OSError:
        is_packed = False  # reading it reports the error
    if not is_packed:
        yield file
        return
    for member, path in unpack(file.path, file.name, workspace):
        yield LogFile(path, f"{file.name}/{replace_surrogates(member)}", named=False)


def _walk(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory in a stable order, except hidden ones."""
    for root, directories, names in os.walk(directory, onerror=_raise_unreadable):
        # os.walk descends into what is left in this list, in its order.
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        paths = (Path(root, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _raise_unreadable(error: OSError) -> None:
    raise UnreadableError(f"{error.filename}: {error.strerror}; check its permissions")


def _is_endless(stream: BinaryIO) -> bool:
    """Return whether a stream is a device such as /dev/zero, not a terminal or /dev/null."""
    try:
        status = os.fstat(stream.fileno())
        is_null = os.path.samestat(status, Path(os.devnull).stat())
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(status.st_mode) and not stream.isatty() and not is_null


def _copy_stream(stream: BinaryIO, workspace: Path, name: str) -> LogFile:
    """Copy a stream into a file: a log is read several times."""
    import shutil  # noqa: PLC0415  (4 ms with the next, and rarely needed)
    import tempfile  # noqa: PLC0415

    if _is_endless(stream):
        raise UnreadableError(f"{name}: a device that may never end; name a file or a pipe")
    with tempfile.NamedTemporaryFile(dir=workspace, delete=False) as file:
        shutil.copyfileobj(stream, file)
    return LogFile(Path(file.name), name, named=True)
