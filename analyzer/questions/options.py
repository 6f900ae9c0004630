"""Defines the options of every question, with their defaults and bounds, for the command line and the Python API.

Each class raises UsageError if a value is out of bounds. The module imports no question, which keeps help fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

from analyzer.errors import Option, UsageError
from analyzer.times import MAX_RETENTION_DAYS
from analyzer.validation import require_count, require_number, require_utf8

if TYPE_CHECKING:
    from analyzer.questions.baseline import Baseline

UTC = "UTC"
DEFAULT_MIN_LOOKUPS = 100
DEFAULT_MAX_LOCAL_ONLY = 0.2
DEFAULT_MAX_DROP = 0.05


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """How an answer is grouped, and which groups it lists.

    Args:
        by: names of dimensions to group by.
        tz: IANA time zone of the buckets of time.
        sort: names of columns, separated by commas, each prefixed with `-` for descending order.
        limit: maximum number of groups.
        min_lookups: groups with fewer lookups are left out.
        priced: whether columns of money are added later (`report.with_costs`), which `sort` can then name.
    """

    by: Sequence[str] = ()
    tz: str = UTC
    sort: str | None = None
    limit: int | None = None
    min_lookups: int | None = None
    priced: bool = False

    def __post_init__(self) -> None:
        require_count("limit", self.limit)
        require_count("min_lookups", self.min_lookups)
        if len(set(self.by)) < len(self.by):
            raise UsageError(Option("by", ",".join(self.by)), ": a dimension is repeated; name each once")
        require_utf8("tz", self.tz)
        require_utf8("sort", *([] if self.sort is None else [self.sort]))
        given = {"tz": self.tz != UTC, "sort": self.sort, "limit": self.limit, "min_lookups": self.min_lookups}
        for name in () if self.by else [name for name in given if given[name]]:
            raise UsageError(Option(name), " applies to groups: add ", Option("by"))


UNGROUPED = GroupOptions()


@dataclass(frozen=True, slots=True)
class StatsOptions(GroupOptions):
    """How `stats` groups, sorts and limits its answer.

    Args:
        restore_ms: milliseconds to restore a local and a remote hit; adds the measure of net savings.
        explain: whether to add the table of definitions.
    """

    restore_ms: tuple[float, float] | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        GroupOptions.__post_init__(self)
        for cost_ms in self.restore_ms or ():
            require_number("restore_cost", cost_ms)


@dataclass(frozen=True, slots=True)
class MissesOptions:
    """How `misses` classifies and groups misses, and how many of the costliest hashes or tasks it lists."""

    retention_days: float = 7
    groups: GroupOptions = UNGROUPED
    limit: int = 10

    def __post_init__(self) -> None:
        _require_retention(self.retention_days)
        require_count("limit", self.limit)


@dataclass(frozen=True, slots=True)
class CausesOptions:
    """How many causes `causes` lists, and the task (`package#task`) to which it restricts its answer about a run."""

    limit: int = 10
    task: str | None = None

    def __post_init__(self) -> None:
        require_count("limit", self.limit)


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """The current retention of the cache, with which `retention` compares others."""

    retention_days: float = 7

    def __post_init__(self) -> None:
        _require_retention(self.retention_days)


@dataclass(frozen=True, slots=True)
class SessionsOptions:
    """How many outliers `sessions` lists, the retention that classifies misses, and how percentiles are grouped."""

    limit: int = 10
    retention_days: float = 7
    groups: GroupOptions = UNGROUPED

    def __post_init__(self) -> None:
        require_count("limit", self.limit)
        _require_retention(self.retention_days)


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How many groups of each dimension `compare` lists."""

    limit: int = 5

    def __post_init__(self) -> None:
        require_count("limit", self.limit)


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The thresholds of `check`; None skips one. With fewer lookups than `min_lookups`, no check fails.

    A drop is one from `baseline`, or without it, from the time before. No threshold is needed to save a baseline
    (`saves_baseline`).
    """

    min_hit_rate: float | None = None
    min_remote_hit_rate: float | None = None
    max_drop: float | None = None
    min_time_saved_ms: float | None = None
    max_local_only: float | None = None
    min_lookups: int = DEFAULT_MIN_LOOKUPS
    baseline: "Baseline | None" = None
    saves_baseline: bool = False

    @property
    def drop_limit(self) -> float | None:
        """The largest acceptable drop of the hit rate; a baseline brings a default."""
        return DEFAULT_MAX_DROP if self.max_drop is None and self.baseline else self.max_drop

    @property
    def compares_weeks(self) -> bool:
        """Whether the last 7 days are compared with the 7 days before."""
        return self.max_drop is not None and self.baseline is None

    @property
    def local_only_limit(self) -> float | None:
        """The highest acceptable share of local-only misses; by default it accompanies the remote hit rate."""
        if self.max_local_only is None and self.min_remote_hit_rate is not None:
            return DEFAULT_MAX_LOCAL_ONLY
        return self.max_local_only

    def __post_init__(self) -> None:
        for name in ("min_hit_rate", "min_remote_hit_rate", "max_drop", "max_local_only"):
            require_number(name, getattr(self, name), maximum=1)
        require_number("min_time_saved", self.min_time_saved_ms)
        require_count("min_lookups", self.min_lookups)
        others = ("min_lookups", "baseline", "saves_baseline")
        thresholds = [field.name for field in fields(self) if field.name not in others]
        has_baseline = self.baseline or self.saves_baseline
        if not has_baseline and all(getattr(self, name) is None for name in thresholds):
            listed = [part for name in thresholds for part in (", ", Option(name.removesuffix("_ms")))]
            raise UsageError("nothing to check: give at least one of ", *listed[1:])


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The options of `report`; the page shows the `command` line and the time `made_at` (naive UTC), if given.

    `full` is for Markdown, which has only a part of the page otherwise.
    """

    retention_days: float = 7
    tz: str = UTC
    full: bool = False
    command: str = ""
    made_at: datetime | None = None

    def __post_init__(self) -> None:
        _require_retention(self.retention_days)


def _require_retention(days: float) -> None:
    require_number("retention", days, maximum=MAX_RETENTION_DAYS, exclusive=True)
