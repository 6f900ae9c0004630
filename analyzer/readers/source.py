"""SOURCE: any mix of files, directories, globs and `-`, or one archive, made into a list of files."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from analyzer.errors import UnreadableError, UsageError, unreadable_error
from analyzer.text import replace_surrogates

ARCHIVE_MAGIC = b"DUCK"
ARCHIVE_MAGIC_AT = 8


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to read: where it is, what to call it, and whether the user named it outright."""

    path: Path
    name: str
    named: bool


@dataclass(frozen=True, slots=True)
class Sources:
    """What SOURCE stands for: one archive, or files and the errors of names that lead nowhere."""

    archive: Path | None
    files: tuple[LogFile, ...]
    errors: tuple[UnreadableError, ...]


def is_archive(path: Path) -> bool:
    """Tell by content whether a file is a DuckDB database."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(ARCHIVE_MAGIC_AT + len(ARCHIVE_MAGIC))[ARCHIVE_MAGIC_AT:] == ARCHIVE_MAGIC
    except OSError:
        return False


def expand_sources(sources: Sequence[str], stdin: BinaryIO | None, workspace: Path) -> Sources:
    """Find the files that `sources` stand for; standard input is written into `workspace`.

    Raises:
        UsageError: an archive stands beside other sources, or a name is empty.
    """
    if "" in sources:
        raise UsageError("an empty name is no SOURCE; is a variable unset? Name a log, a directory, or - for stdin")
    archives = [Path(source) for source in sources if source != "-" and is_archive(Path(source))]
    if archives and len(sources) > 1:
        raise UsageError(f"{archives[0]}: an archive is read alone; load the other logs into it first")
    if archives:
        return Sources(archives[0], (), ())
    files: list[LogFile] = []
    errors: list[UnreadableError] = []
    for source in sources:
        try:
            files.extend(_files(source, stdin, workspace))
        except UnreadableError as error:
            errors.append(error)
        except OSError as error:
            errors.append(unreadable_error(source, error))
    return Sources(None, tuple(files), tuple(errors))


def _files(source: str, stdin: BinaryIO | None, workspace: Path) -> Iterator[LogFile]:
    path = Path(source)
    if source == "-":
        if stdin is None:
            raise UnreadableError("-: standard input is closed; name a file")
        yield _spooled(stdin, workspace, source)
    elif path.is_fifo() or path.is_char_device():
        with path.open("rb") as pipe:
            yield _spooled(pipe, workspace, source)
    elif path.is_dir():
        yield from (LogFile(found, replace_surrogates(str(found)), named=False) for found in _walk(path))
    elif path.exists():
        yield LogFile(path, replace_surrogates(source), named=True)
    elif glob.has_magic(source):
        found = sorted(filter(os.path.isfile, glob.iglob(source, recursive=True)))  # noqa: PTH207  (absolute patterns)
        if not found:
            raise UnreadableError(f"{source}: no file matches this pattern")
        yield from (LogFile(Path(name), replace_surrogates(name), named=False) for name in found)
    else:
        raise UnreadableError(f"{source}: no such file or directory; name a log, a directory, a glob or - for stdin")


def _walk(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory in a stable order, hidden ones left out."""
    for root, directories, names in os.walk(directory, onerror=_raise):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        paths = (Path(root, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _raise(error: OSError) -> None:
    raise UnreadableError(f"{error.filename}: {error.strerror}; check its permissions")


def _spooled(stream: BinaryIO, workspace: Path, name: str) -> LogFile:
    """Write what can be read only once into a file."""
    import shutil  # noqa: PLC0415  (4 ms with the next, only where it is needed)
    import tempfile  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(dir=workspace, delete=False) as file:
        shutil.copyfileobj(stream, file)
    return LogFile(Path(file.name), name, named=True)
