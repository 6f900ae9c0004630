"""Checks and writes the files that a command was asked to write: it never overwrites what it reads or still needs."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from analyzer.archive.leftovers import unfinished_path
from analyzer.errors import UsageError

# Returns whether the command reads a file as SOURCE or as a part of it.
IsSource = Callable[[Path], bool]


def require_writable(paths: Sequence[Path], is_source: IsSource, in_use: Sequence[Path], *, force: bool) -> None:
    """Raise UsageError unless every one of `paths` can be written without losing a file.

    `in_use` are other files that the command reads or writes. An existing file needs `force`.
    """
    for index, path in enumerate(paths):
        require_unused(path, is_source, (*paths[:index], *in_use))
        _require_free(path, force=force)


def require_unused(path: Path, is_source: IsSource, in_use: Sequence[Path]) -> None:
    """Raise UsageError where the command reads `path`, or uses it for something else."""
    if any(_is_same_file(path, other) for other in in_use):
        raise UsageError(f"{path}: this command already uses this file; name another file")
    if path.is_file() and is_source(path):
        raise UsageError(f"{path}: is read as SOURCE and would be overwritten; name another file")


def _require_free(path: Path, *, force: bool) -> None:
    if path.is_file() and not force:
        raise UsageError(f"{path}: exists already; --force overwrites it, or name another file")
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # realpath stops at a link only where links form a loop
        raise UsageError(f"{path}: a link that leads back to itself; name another file")
    if not target.parent.is_dir():
        raise UsageError(f"{path}: there is no directory {target.parent}; create it, or name another file")


def _is_same_file(path: Path, other: Path) -> bool:
    """Return whether two paths name one regular file; a device or a pipe may be written to more than once."""
    if path.exists() and other.exists():
        return path.is_file() and path.samefile(other)
    return os.path.realpath(path) == os.path.realpath(other)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` once it is complete; a failure leaves `path` as it was."""
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        with path.open("wb") as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    unfinished = unfinished_path(target)
    try:
        try:
            file = unfinished.open("xb")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None  # not the temporary name
        with file:
            yield file
        if target.exists():
            unfinished.chmod(target.stat().st_mode)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
