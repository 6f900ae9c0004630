"""Offline analysis of remote build cache usage events.

>>> import analyzer
>>> with analyzer.load("sample_data") as log:
...     by_team = log.stats(by="team", until="2026-10-01")
>>> by_team.columns[:4]
['team', 'events', 'lookups', 'hits']

`load` opens logs or an archive and returns a `Log`, which has a method for each question of the command line; `replay`
uploads events. Errors are subclasses of `AnalyzerError`. The package prints nothing and does not read the environment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from analyzer.errors import (  # isort: skip
    AccountingError, AnalyzerError, ArchiveError, InputError, JournalError, NotALogError, QueryError, RejectedError,
    UnreadableError, UsageError,
)  # fmt: skip

if TYPE_CHECKING:
    from analyzer.api.filters import Filters
    from analyzer.api.load import load
    from analyzer.api.log import Log
    from analyzer.api.replay import Outcome, replay

_API_MODULES = {"Filters": "filters", "Log": "log", "load": "load", "Outcome": "replay", "replay": "replay"}

__all__ = [
    "AccountingError", "AnalyzerError", "ArchiveError", "Filters", "InputError", "JournalError", "Log", "NotALogError",
    "Outcome", "QueryError", "RejectedError", "UnreadableError", "UsageError", "load", "replay",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name of the API on first use: DuckDB and Polars take 0.4 s, which help texts do not need."""
    if name not in _API_MODULES:
        raise AttributeError(f"module 'analyzer' has no attribute {name!r}")
    return getattr(import_module(f"analyzer.api.{_API_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return what users call or catch; types for annotations can be imported all the same."""
    return [name for name in __all__ if name not in ("Filters", "Log", "Outcome")]
