"""The files that a command writes: nothing is lost by them, and each is whole or as it was before."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from analyzer.errors import UsageError
from analyzer.readers.source import expand

if TYPE_CHECKING:
    from analyzer.cli.source import SourceOptions


def require_writable(
    paths: Sequence[Path], inputs: "SourceOptions | None", kept: Sequence[Path], *, force: bool
) -> None:
    """Refuse files to be written that cannot be, or that hold what else the command reads, writes or keeps.

    Raises:
        UsageError: one is such a file, or is there already and not to be overwritten.
    """
    for place, path in enumerate(paths):
        require_apart(path, inputs, (*paths[:place], *kept))
        _require_free(path, force=force)


def require_apart(path: Path, inputs: "SourceOptions | None", kept: Sequence[Path]) -> None:
    """Refuse a file that holds what else the command reads, writes or keeps.

    Raises:
        UsageError: it is such a file.
    """
    if any(_is_same(path, other) for other in kept):
        raise UsageError(f"{path}: this command has another use for it; name another file")
    if inputs and path.is_file() and _is_read(path, inputs):
        raise UsageError(f"{path}: is read as SOURCE, and would be lost; name another file")


def _require_free(path: Path, *, force: bool) -> None:
    if path.is_file() and not force:
        raise UsageError(f"{path}: exists already; --force overwrites it, or name another file")
    end = Path(os.path.realpath(path))
    if end.is_symlink():
        raise UsageError(f"{path}: a link that leads back to itself; name another file")
    if not end.parent.is_dir():
        raise UsageError(f"{path}: there is no directory {end.parent}; make it, or name another file")


def _is_same(path: Path, other: Path) -> bool:
    """Tell whether two names are of one file, be it there or not; into a device or a pipe much may be written."""
    if path.exists() and other.exists():
        return path.is_file() and path.samefile(other)
    return os.path.realpath(path) == os.path.realpath(other)


def _is_read(path: Path, inputs: "SourceOptions") -> bool:
    """Tell whether a file is named as a source, or is a log that a directory or a pattern leads to."""
    named = [Path(source) for source in inputs.sources if source != "-"]
    if any(one.is_file() and one.samefile(path) for one in named):
        return True
    wide = [str(one) for one in named if one.is_dir() or (has_magic(str(one)) and not one.exists())]
    if not wide or not _is_log(path, inputs):
        return False
    return any(found.path.samefile(path) for found in expand(wide, None, path.parent).files)


def _is_log(path: Path, inputs: "SourceOptions") -> bool:
    from analyzer.readers.sniff import HEAD_BYTES, sniff  # noqa: PLC0415
    from analyzer.readers.stream import Stream  # noqa: PLC0415

    reading = inputs.reading()
    with suppress(OSError):
        return bool(reading.format or sniff(Stream(path).head(HEAD_BYTES), reading.renamed))
    return False


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written under a name of its own first: what stands there stays until it is whole."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    unfinished = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with unfinished.open("xb") as file:
            yield file
        if path.exists():
            unfinished.chmod(path.stat().st_mode)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
