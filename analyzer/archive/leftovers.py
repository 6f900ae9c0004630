"""Creates temporary directories, and removes what processes that were killed left of theirs."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PREFIX, LOCK_NAME = "analyzer-", "lock"
PART_PATTERN = ".analyzer-*.part"
MIN_AGE_SECONDS = 60  # a directory gets its lock a moment after it was created
MIN_PART_AGE_SECONDS = 86_400  # of an unfinished file, which has no lock: nothing writes for a day without a change


@contextmanager
def temp_directory() -> Iterator[Path]:
    """Create a directory for temporary files; it is deleted on exit."""
    _remove_stale_directories()
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        # The lock ends with the process, however that ends.
        with (path / LOCK_NAME).open("wb") as lock:
            _try_lock(lock)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def unfinished_path(target: Path) -> Path:
    """Return a new name beside `target` to write it under, after removing old unfinished files there."""
    for path in target.parent.glob(PART_PATTERN):
        if _is_ours(path, MIN_PART_AGE_SECONDS):
            path.unlink(missing_ok=True)
    return target.with_name(PART_PATTERN.replace("*", os.urandom(8).hex()))


def _remove_stale_directories() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_ours(path, MIN_AGE_SECONDS) and path.is_dir():
                with (path / LOCK_NAME).open("r+b") as lock:
                    if _try_lock(lock):
                        shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path, min_age_seconds: float) -> bool:
    """Return whether this user owns a file or directory that has not changed for some time."""
    with suppress(OSError):
        status = path.lstat()
        is_owner = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        return is_owner and time.time() - status.st_mtime > min_age_seconds
    return False


def _try_lock(file: BinaryIO) -> bool:
    """Lock a file unless another process has; without locks, as on Windows, return False."""
    try:
        import fcntl  # noqa: PLC0415  (only Unix has it)

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
