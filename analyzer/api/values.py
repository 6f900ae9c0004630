"""The sources that `load` and `replay` take."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

from analyzer.errors import UsageError


def require_sources(sources: Sequence[Any], call: str) -> list[str]:
    """Return the names of sources; `call` is how several are given.

    Raises:
        UsageError: there is none, or one that is no path.
    """
    for source in sources:
        if not isinstance(source, str | PathLike):
            raise UsageError(f"a source is a path, which {source!r} is not; unpack a list: {call}")
    names = [str(source) for source in sources]
    if not names or "" in names:
        raise UsageError("no source: name a log, a directory, a glob or an archive (*.duckdb)")
    return names
