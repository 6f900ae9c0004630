"""Where DuckDB spills to. It takes one directory a database and process, which all readers of an archive share."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock


@dataclass(slots=True)
class _Spill:
    directory: Path
    readers: int = 0


_spills: dict[Path, _Spill] = {}
_lock = Lock()


@contextmanager
def shared(archive: Path) -> Iterator[Path]:
    """Give the directory that the readers of an archive spill to; it goes with the last of them."""
    archive = archive.resolve()
    with _lock:
        if archive not in _spills:
            _spills[archive] = _Spill(Path(tempfile.mkdtemp(prefix="analyzer-")))
        spill = _spills[archive]
        spill.readers += 1
    try:
        yield spill.directory
    finally:
        with _lock:
            spill.readers -= 1
            if not spill.readers:
                del _spills[archive]
                shutil.rmtree(spill.directory, ignore_errors=True)
