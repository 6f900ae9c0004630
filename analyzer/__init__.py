"""Offline analysis of remote build cache usage events.

>>> import analyzer
>>> with analyzer.load("sample_data") as log:
...     by_team = log.stats(by="team", until="2026-10-01")
>>> by_team.columns[:4]
['team', 'events', 'sessions', 'lookups']

`load` opens logs or an archive and gives a `Log`, whose questions are those of the command line; `replay` uploads
events. Errors are subclasses of `AnalyzerError`. Nothing here prints, or reads the environment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyzer.api.filters import Filters
    from analyzer.api.log import Log, load
    from analyzer.api.replay import Outcome, replay
    from analyzer.errors import (
        AccountingError,
        AnalyzerError,
        ArchiveError,
        InputError,
        JournalError,
        NotALogError,
        QueryError,
        RejectedError,
        UnreadableError,
        UsageError,
    )

_PLACES = {"Filters": "filters", "Log": "log", "load": "log", "Outcome": "replay", "replay": "replay"}

__all__ = [
    "AccountingError",
    "AnalyzerError",
    "ArchiveError",
    "Filters",
    "InputError",
    "JournalError",
    "Log",
    "NotALogError",
    "Outcome",
    "QueryError",
    "RejectedError",
    "UnreadableError",
    "UsageError",
    "load",
    "replay",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for: DuckDB and Polars take a third of a second, and the command line starts without."""
    if name not in __all__:
        raise AttributeError(f"module 'analyzer' has no attribute {name!r}")
    place = f"analyzer.api.{_PLACES[name]}" if name in _PLACES else "analyzer.errors"
    return getattr(import_module(place), name)
