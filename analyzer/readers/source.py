"""Expands SOURCE (files, directories, globs, URLs, `-`, or one archive or lake) into the list of files to read."""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from analyzer.errors import UnreadableError, UsageError, unreadable_error
from analyzer.readers.containers import is_container, unpack
from analyzer.readers.objects import MANIFESTS, RemoteObject, find_objects, is_url
from analyzer.readers.storage import Storage, open_storage
from analyzer.text import replace_surrogates

ARCHIVE_MAGIC, ARCHIVE_MAGIC_OFFSET = b"DUCK", 8


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to read; with `remote`, there is nothing at `path` yet (see `local_files`)."""

    path: Path
    name: str  # in reports and messages
    named: bool  # by the user, not found by a directory or glob: it must then be readable as a log
    remote: RemoteObject | None = None

    @property
    def size_bytes(self) -> int:
        """The size of the file; 0 if it is not known."""
        if self.remote:
            return self.remote.size_bytes
        return self.path.stat().st_size if self.path.exists() else 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Result of expanding SOURCE: an archive, a lake, or files, and an error for each source that has none."""

    archive: Path | None = None
    files: tuple[LogFile, ...] = ()
    errors: tuple[UnreadableError, ...] = ()
    lake: Storage | None = None


def is_archive(path: Path) -> bool:
    """Return whether a file is a DuckDB database, judged by its content."""
    with suppress(OSError):
        if path.is_file():  # opening a pipe would block
            with path.open("rb") as file:
                return file.read(ARCHIVE_MAGIC_OFFSET + len(ARCHIVE_MAGIC))[ARCHIVE_MAGIC_OFFSET:] == ARCHIVE_MAGIC
    return False


def is_lake(source: str) -> bool:
    """Return whether a source is a lake that `export` wrote, in a directory or a bucket."""
    if not is_url(source):
        return (Path(source) / MANIFESTS).is_dir()
    with suppress(UnreadableError, UsageError):  # the objects themselves may be readable
        return bool(open_storage(source).names(f"{MANIFESTS}/"))
    return False


def _kind_of_whole(source: str) -> str | None:
    """Return what a source is if it is a whole log by itself."""
    if source == "-":
        return None
    if not is_url(source) and is_archive(Path(source)):
        return "an archive"
    return "a lake" if is_lake(source) else None


def expand_sources(sources: Sequence[str], stdin: BinaryIO | None, workspace: Path) -> Sources:
    """Return the files that `sources` stand for; pipes and standard input are copied into `workspace`."""
    if "" in sources:
        raise UsageError("SOURCE is empty; check for an unset variable, or name a log, a directory, or - for stdin")
    for source in sources:
        kind = _kind_of_whole(source)
        if kind and len(sources) > 1:
            raise UsageError(f"{source}: {kind} cannot be combined with other sources; name it alone")
        if kind == "an archive":
            return Sources(archive=Path(source))
        if kind:
            return Sources(lake=open_storage(source))
    files: list[LogFile] = []
    errors: list[UnreadableError] = []
    for source in sources:
        try:
            found = _remote(source) if is_url(source) else _expand(source, stdin, workspace)
            # One by one: files found before an error count.
            for file in found:
                files.append(file)  # noqa: PERF402
        except UnreadableError as error:
            errors.append(error)
        except OSError as error:
            errors.append(unreadable_error(source, error))
    return Sources(files=tuple(files), errors=tuple(errors))


def local_files(file: LogFile, workspace: Path) -> Iterator[LogFile]:
    """Yield the file. Of a remote one, yield its copy, or those of the files in it; they exist until the next is taken.

    Raises:
        UnreadableError: it cannot be downloaded or unpacked; the files before were yielded.
    """
    if not file.remote:
        yield file
        return
    with TemporaryDirectory(dir=workspace) as directory:
        copy = replace(file, path=Path(directory, "object"), remote=None)
        file.remote.download(copy.path)
        if is_archive(copy.path):
            raise UnreadableError(f"{file.name}: an archive is read from a local disk; download it first")
        yield from _unpacked(copy, Path(directory))


def _remote(url: str) -> Iterator[LogFile]:
    for found, named in find_objects(url):
        yield LogFile(Path(found.url), found.url, named, found)


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
        # The files of a lake are no logs.
        directories[:] = sorted(
            name for name in directories if not (name.startswith(".") or Path(root, name, MANIFESTS).is_dir())
        )
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
