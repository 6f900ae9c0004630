"""A log that is open for questions: the same that the command line answers, as Polars data frames."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Literal, NoReturn, Self, Unpack

import polars as pl

from analyzer.api.arguments import P, R, checked
from analyzer.api.filters import Filters, selection_of, texts
from analyzer.api.frames import WINDOW, report_table, scan_relation, sql_frame, with_bucket_types
from analyzer.api.lifetime import LogHandle
from analyzer.api.values import require_sources
from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import LoadObserver, OpenLog, load_into, open_log
from analyzer.archive.read_options import ReadOptions
from analyzer.archive.selection import Selection
from analyzer.archive.view import VIEWS, Purpose, View
from analyzer.errors import Option, UsageError
from analyzer.event import FIELD_NAMES
from analyzer.questions.compare import compare
from analyzer.questions.comparison_sides import ComparisonSide, parse_side
from analyzer.questions.doctor.report import doctor
from analyzer.questions.misses import misses
from analyzer.questions.notes import load_notes, require_logs
from analyzer.questions.options import (
    CompareOptions,
    MissesOptions,
    RetentionOptions,
    SessionsOptions,
    StatsOptions,
)
from analyzer.questions.report import Report, account_for, with_costs
from analyzer.questions.retention import retention as retention_of
from analyzer.questions.sessions import one_session, sessions
from analyzer.questions.sql import sql_notes
from analyzer.questions.stats import stats
from analyzer.readers.formats import FORMATS
from analyzer.validation import require_choice

SESSIONS_AT_A_TIME = 20_000
TOLD = 3
"""Sources that a log's `repr` names."""


@checked
def load(
    *sources: str | Path,
    into: str | Path | None = None,
    format: str | None = None,  # noqa: A002  (what the command line calls it)
    columns: Mapping[str, str] | None = None,
    strict: bool = False,
    view: View = "auto",
) -> "Log":
    """Open logs, or one archive, for questions; with `into`, keep the logs in that archive first.

    Args:
        sources: files, directories (recursive) and globs, plain, gzip or zstd; or one archive (`*.duckdb`).
        into: an archive, made where there is none; a file that is in it already adds nothing.
        format: read every file as this format (`--from`); else content tells.
        columns: the files' names for columns of events (`--map`), such as `{"timestamp": "created_at"}`.
        strict: fail on the first invalid event, instead of counting it as rejected.
        view: what answers: `events`, `runs` (turbo's run summaries), or `auto`, events where there are any.

    Raises:
        UsageError: no source, or values that cannot be meant.
        InputError: a file that cannot be read, or nothing that is a log.
        RejectedError: `strict`, and an event was rejected.
        ArchiveError: the archive is locked, foreign or of another version.

    >>> with load("sample_data/runs") as log:
    ...     log.stats()["lookups"].item()
    2783
    """
    names = require_sources(sources, "load(*paths)")
    require_choice("format", format, FORMATS)
    require_choice("view", view, VIEWS)
    for name in columns or {}:
        require_choice("columns", name, FIELD_NAMES)
    reading = ReadOptions(format, dict(columns or {}), strict)
    if into is not None:
        if not Path(into).parent.is_dir():
            raise UsageError(Option("into", str(into)), f": there is no directory {Path(into).parent}; make it first")
        with load_into(names, Path(into), reading, LoadObserver()) as made:
            _require(made, names)
            of_input = load_notes(made)
        return Log([str(into)], reading, view, of_input)
    return Log(names, reading, view)


def _require(found: OpenLog, names: Sequence[str]) -> None:
    if found.load_result.errors:
        raise found.load_result.errors[0]
    require_logs(found.load_result, names)


def _shortly(names: Sequence[str]) -> str:
    """Return the first of names, and how many more there are."""
    more = f" and {len(names) - TOLD:,} more" if len(names) > TOLD else ""
    return ", ".join(map(repr, names[:TOLD])) + more


def _question(answer: "Callable[Concatenate[Log, P], R]") -> "Callable[Concatenate[Log, P], R]":
    """Make a method of a log a question: it has the logs that it is about for itself, as it makes temporary tables."""
    answer = checked(answer)

    @wraps(answer)
    def alone(log: "Log", /, *args: P.args, **kwargs: P.kwargs) -> R:
        held = {one._held for one in (log, *args, *kwargs.values()) if isinstance(one, Log)}  # noqa: SLF001
        with ExitStack() as locks:
            for one in sorted(held, key=id):  # in one order for all: two threads never wait for each other
                locks.enter_context(one.lock)
                locks.callback(one.forget)
            return answer(log, *args, **kwargs)

    return alone


class Log:
    """A log that is open. `analyzer.load` makes one; `with` or `close` ends it.

    Each question takes the filters of `Filters` by keyword, and gives its main table as a `polars.DataFrame`; `table`
    names another one of the answer. Ratios are between 0 and 1, times naive UTC, `_ms` are milliseconds of task time,
    and null is what cannot be known. `notes` has what must be said of the input and, after a question, beside its
    answer; `accounting` where the events went.

    Columns are `Int64` where they count, `Float64` where they are ratios, changes of ratios, times in `_ms` or money
    (`_cost`), `Datetime("us")` where their name ends in `_at`, else `String`, unless something else is said. A rate's
    `_low` and `_high` are the ends of its 95 % interval.

    Several threads may use one log: it answers a question at a time, while lazy frames are collected beside it. `notes`
    and `accounting` are then of the last question of any thread.

    Every question raises a `UsageError` where an argument cannot be meant, or the log is closed, and a `QueryError`
    where the SQL of `where` does not run.
    """

    def __init__(
        self, names: Sequence[str], reading: ReadOptions, view: View, of_input: Sequence[str] | None = None
    ) -> None:
        with ExitStack() as stack:
            found = stack.enter_context(open_log(names, reading, LoadObserver(), Purpose(view)))
            if not Path(names[0]).is_file() or found.load_result.files or found.load_result.errors:
                _require(found, names)
            self._held, self._view = LogHandle(stack.pop_all(), found), view
        self._of_input = load_notes(found) if of_input is None else of_input
        self.notes: Sequence[str] = tuple(self._of_input)
        counts = found.counts()
        self.accounting = Accounting(counts.read, counts.kept, counts.rejected, 0, counts.duplicate, counts.files)
        self._told = f"{_shortly(names)}, view={found.view!r}, {counts.kept:,} events"

    def __repr__(self) -> str:
        return f"<analyzer.Log {self._told}{'' if self._held.is_open else ', closed'}>"

    def __reduce__(self) -> NoReturn:
        self._held.__reduce__()

    def __enter__(self) -> Self:
        self._held.opened()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the log; its lazy frames can no longer be collected."""
        self._held.close()

    @_question
    def stats(
        self,
        *,
        by: str | Sequence[str] | None = None,
        tz: str = "UTC",
        sort: str | None = None,
        limit: int | None = None,
        restore_cost: tuple[float, float] | None = None,
        cost_per_minute: float | None = None,
        table: Literal["totals"] | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """Hit rates and time saved: a row, or one for each group of `by`.

        Columns: one for each of `by`, of its name; then

        - `events`, `sessions`, `lookups`, `hits`, `local_hits`, `remote_hits`, `misses`, and `local_only_misses`, which
          never asked the remote cache: counts; a session counts in each group it has a lookup in;
        - `hit_rate`, `local_hit_rate` (of lookups that asked the local cache), `remote_hit_rate` (that asked the remote
          one): ratios;
        - `time_saved_ms`: the durations of hits, serial task time; `duration_coverage`: hits that have one / hits;
        - `first_at`, `last_at`: times of the first and last event;
        - `partial` (`Boolean`), by buckets of time: the log, or the time asked for, covers only a part of it.

        `day`, `week` (its Monday) and `month` (its first day) are `Date`, `hour` is its start, a `Datetime("us", tz)`;
        null is the bucket of lookups without a time. `interactive` is `Boolean`; `weekday` and `hour_of_day` are text,
        `unknown` without a time; by `hash`, `name` is the task it is of. `analyzer stats --explain` tells every
        definition with its caveats and SQL.

        Args:
            by: `hour`, `day`, `week`, `month`, `weekday`, `hour_of_day`, `ci`, `team`, `interactive`, `session`,
                `hash`, `task`, `package`, `branch`, `user` or `source`; several, or with commas.
            tz: IANA time zone of the buckets, such as `Europe/Berlin`.
            sort: a column; `-` before it for the largest first.
            limit: only the first so many groups.
            restore_cost: milliseconds that restoring a local and a remote hit takes; adds `net_saved_ms`.
            cost_per_minute: what a minute of a task costs; adds `time_saved_cost`.
            table: `totals`, also where there are groups.
            filters: see `Filters`.

        Raises:
            UsageError: an unknown dimension, column or time zone, or another argument that cannot be meant.
            QueryError: the SQL of `where` does not run.

        >>> with load("sample_data") as log:
        ...     log.stats(by="ci", sort="-lookups", limit=2)["ci"].to_list()
        ['GITHUB_ACTIONS', None]
        """
        if restore_cost is not None and len(restore_cost) != len(("local", "remote")):
            raise UsageError(
                Option("restore_cost", restore_cost), ": milliseconds of a local and of a remote hit are expected"
            )
        names = [name for group in texts(() if by is None else by) for name in group.split(",")]
        options = StatsOptions(tuple(names), tz, sort, limit, restore_cost, priced=cost_per_minute is not None)
        report = stats(self._held.opened(), self._chosen(filters), options)
        return with_bucket_types(self._answer(report, cost_per_minute, table), tz)

    @_question
    def misses(
        self,
        *,
        retention: float = 7,
        by: Literal["task", "hash"] | None = None,
        limit: int = 10,
        cost_per_minute: float | None = None,
        table: Literal["misses", "classes", "top"] | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """Why lookups missed, and what that cost: a row for each class of misses.

        - `classes`, the main table: `class` (`cold`, `unknown_cold`, `repeat`, `concurrent`, `expired`, `evicted`,
          `local_only`, `untimed`), `misses`, `share` (of all misses), `sessions`, `imputed_time_ms` (what their tasks
          took, where that is known or imputed), `imputed_coverage` (the ratio of misses where it is), `definition`,
          `avoidable` (`Boolean`: with the artifact still in the cache it had been a hit).
        - `misses`, one row: `lookups`, `misses`, `miss_rate`, `imputed_time_ms`, `imputed_coverage`,
          `avoidable_time_ms`, `avoidable_coverage` (the ratio of avoidable misses whose time is known or imputed),
          `time_saved_ms`, `avoidance_ratio` (saved of what was saved or executed),
          `one_hit_wonders` (hashes looked up once), `hashes`.
        - `top`, a row for each of the costliest: `hash` and `name`, the task it is of, or `task`; `avoidable_time_ms`,
          `avoidable_misses`, `sessions`, `first_seen` and `last_seen` (`Datetime("us")`), the counts `repeat`,
          `concurrent`, `expired` and `evicted`, and `likely_causes`.

        Args:
            retention: days that the cache keeps artifacts now.
            by: what `top` is told by; tasks where most are known, else hashes.
            limit: how many of the costliest.
            cost_per_minute: what a minute of a task costs; adds a column `_cost` beside each of time.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError: an argument that cannot be meant, or `source` or `event`: both events of a lookup are needed.
            QueryError: the SQL of `where` does not run.
        """
        report = misses(self._held.opened(), self._chosen(filters), MissesOptions(retention, by, limit))
        return self._answer(report, cost_per_minute, table)

    @_question
    def retention(
        self,
        *,
        retention: float = 7,
        cost_per_minute: float | None = None,
        table: Literal["observed", "curve", "steps"] | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """Hit rate and time saved by how long artifacts are kept: a row for each policy and number of days.

        - `curve`, the main table: `policy` (`absolute`, counted from the upload; `sliding`, from the last use), `days`
          (`Int64`), `remote_hit_rate`, `hits`, `time_saved_ms`, `time_saved_a_week_ms`, `artifacts` (stored on
          average), `extrapolated` (`Boolean`: longer than half the log).
        - `steps`, a row for each policy and step from `retention` days: `policy`, `step` (`7 d → 14 d`),
          `hit_rate_change`, `saved_a_week_change_ms`, `artifacts_factor`, `extrapolated`.
        - `observed`, one row: `remote_lookups`, `remote_hits`, `remote_hit_rate`.

        No rows where no lookup asked the remote cache at a known time.

        Args:
            retention: days that the cache keeps artifacts now.
            cost_per_minute: what a minute of a task costs; adds a column `_cost` beside each of time.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError: an argument that cannot be meant, or `source` or `event`: both events of a lookup are needed.
            QueryError: the SQL of `where` does not run.
        """
        report = retention_of(self._held.opened(), self._chosen(filters), RetentionOptions(retention))
        return self._answer(report, cost_per_minute, table)

    @_question
    def sessions(
        self,
        id: str | None = None,  # noqa: A002  (what the command line calls it)
        *,
        limit: int = 10,
        retention: float = 7,
        cost_per_minute: float | None = None,
        table: str | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """Return runs that stand out, a row a run; with an `id`, the lookups of one, a row a lookup.

        - `low_hit_rate`, the main table, and `time_lost`: `session`, `hit_rate`, `lookups`, `time_lost_ms` (what the
          tasks of its misses took), `time_saved_ms`, `first_at`, `team`, `ci`, `branch`, `command`, `deviation` (its
          hit rate against the pooled one, in standard errors).
        - `percentiles`, a row each of `p5` to `p95`: `percentile`, `lookups`, `hit_rate`, `time_saved_ms`,
          `time_lost_ms`.
        - `lookups`, the main table with an `id`: `hash`, `name` (the task it is of), `outcome` (`local_hit`,
          `remote_hit`, `miss`), `class` (of a miss, see `misses`), `duration_ms` (of a hit what it saved, of a miss
          what its task took), `first_at`.
        - `session`, one row with an `id`: `session`, `run`, `command`, `branch`, `sha`, `user`, `team`, `ci`,
          `first_at`, `last_at`, `lookups`, `hits`, `hit_rate`, `time_saved_ms`, `time_lost_ms`, `warm_cache_saves_ms`
          (what it had saved had all been hits), `warm_cache_coverage` (the ratio of lookups whose duration is known).

        Args:
            id: the id of a session or of a run, or as much of its start as no other has.
            limit: how many of each kind.
            retention: days that the cache keeps artifacts now.
            cost_per_minute: what a minute of a task costs; adds a column `_cost` beside each of time.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError: an argument that cannot be meant, or `source` or `event`: both events of a lookup are needed.
            QueryError: the SQL of `where` does not run.
        """
        options = SessionsOptions(limit, retention)
        found, chosen = self._held.opened(), self._chosen(filters)
        report = one_session(found, chosen, id, options) if id is not None else sessions(found, chosen, options)
        return self._answer(report, cost_per_minute, table)

    @_question
    def compare(
        self,
        a: str | None = None,
        b: "str | Log | None" = None,
        *,
        limit: int = 5,
        cost_per_minute: float | None = None,
        table: str | None = None,
        **filters: Unpack[Filters],
    ) -> pl.DataFrame:
        """Compare two sides, A and B: one row of what changed.

        - `change`, the main table: `hit_rate_change` and `remote_hit_rate_change`, each with `_low` and `_high`,
          `time_saved_change_ms`, `time_lost_change_ms`, `change` (`rose`, `fell`, or that
          nothing can be told), `change_began` (the day, UTC, as text, where one stands out).
        - `sides`, a row for A and one for B: `side`, `sessions`, `lookups`, `hit_rate` with `_low` and `_high`,
          `remote_hit_rate`, `time_saved_ms`, `time_lost_ms`, `first_at`, `last_at`.
        - `effects`, a row a dimension: `by`, `hit_rate_change`, and what of it is a `rate_effect` (groups hit more or
          less often) or a `mix_effect` (other groups ask more often), and the number of `groups`.
        - `by_team`, `by_ci`, `by_task`, `by_package`, a row a group: its name, `hit_rate_a`, `hit_rate_b`,
          `rate_effect`, `mix_effect`, `lookups_a`, `lookups_b`, `effect` (both effects).

        Args:
            a: `FROM..UNTIL`, or `NAME=VALUE` (team, ci, interactive, session, hash, status), or both with commas.
            b: the same; or another log, which this one is compared with, and then there is no `a`: filters are for
                both. Without sides, the last 7 days of the log are compared with the 7 before.
            limit: groups of each dimension.
            cost_per_minute: what a minute of a task costs; adds a column `_cost` beside each of time.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError: an argument that cannot be meant, or `source` or `event`: both events of a lookup are needed.
            QueryError: the SQL of `where` does not run.
        """
        options = CompareOptions(limit)
        logs = [self, b] if isinstance(b, Log) else [self]
        report = compare([log._held.opened() for log in logs], self._chosen(filters), _samples(a, b), options)  # noqa: SLF001  (its own kind)
        return self._answer(report, cost_per_minute, table)

    @_question
    def doctor(self, **filters: Unpack[Filters]) -> pl.DataFrame:
        """Return what is wrong with the log itself, a row a finding; no rows where nothing is.

        Columns: `finding`, `severity` (`problem`, `notice`), `count`, `what` (the evidence), `remedy`, `definition`.

        Raises:
            UsageError: an argument that cannot be meant, or `source` or `event`: both events of a lookup are needed.
            QueryError: the SQL of `where` does not run.
        """
        return self._answer(doctor(self._held.opened(), self._chosen(filters)), None, None)

    @_question
    def sql(self, query: str) -> pl.DataFrame:
        """Return what DuckDB's SQL gives over `events`, `lookups`, `sessions`, `runs`, `tasks`, `files`, `rejects`.

        The first three are of events, whatever view answers other questions.

        A row and a column are what the query says; `DESCRIBE lookups` tells the columns of a relation, and their types.
        Times are naive UTC, `_ms` are milliseconds.

        Raises:
            QueryError: the SQL does not run, is no query, or gives what no data frame holds.
            UsageError: the log is closed.

        >>> with load("sample_data") as log:
        ...     log.sql("SELECT count(*) AS n FROM lookups WHERE outcome = 'miss' AND team = 'web'")["n"].item() > 0
        True
        """
        opened = self._held.opened()
        found, counts = sql_frame(opened.connection, query), opened.counts()
        self.notes, self.accounting = (*self._of_input, *sql_notes(opened)), account_for(counts, counts.kept)
        return found

    def events(self) -> pl.LazyFrame:
        """All events of the log, a row each, read from it as they are collected: it may be larger than memory.

        They are of the view that answers questions: where run summaries do, what a client sends for their tasks.

        Columns are those of the relation `events`: the five of the API, `sessionId`, `source` (`LOCAL`, `REMOTE`),
        `event` (`HIT`, `MISS`), `hash` and `duration` (`Float64`, ms; 0 is unknown); `timestamp` (`Datetime("us")`,
        naive UTC), `teamId`, `slug`, `team` (slug, else teamId), `ci`, `interactive` (`Boolean`), `status` (`Int32`, of
        the request), `file` and `position` (`Int64`, in the file). Rows come in no promised order.

        Raises:
            UsageError: the log is closed; also as the frame is collected.
        """
        return scan_relation("events", "position", WINDOW, self._held.cursor)

    def lookups(self) -> pl.LazyFrame:
        """All lookups of the log, a row each, read from it as they are collected: it may be larger than memory.

        They are of the view that answers questions, events or run summaries.

        Columns are those of the relation `lookups`: `session`, `hash`, `outcome` (`local_hit`, `remote_hit`, `miss`),
        `local_only_miss` (`Boolean`), `duration_ms` (`Float64`, known duration of a hit), `first_at`, `last_at`
        (`Datetime("us")`, naive UTC), `team_id`, `slug`, `team` (slug, else teamId), `ci`, `interactive` (`Boolean`),
        `task` and `package` where run summaries tell, `events` (`Int64`). Rows come in no promised order.

        Raises:
            UsageError: the log is closed; also as the frame is collected.

        >>> with load("sample_data") as log:
        ...     log.lookups().select((pl.col("outcome") != "miss").mean().round(2)).collect().item()
        0.87
        """
        frame = scan_relation("lookups", "session_id", SESSIONS_AT_A_TIME, self._held.cursor)
        return frame.drop("kinds", "session_id", "hash_id")

    def _chosen(self, filters: Filters) -> Selection:
        return selection_of(filters, self._view)

    def _answer(self, report: Report, cost_per_minute: float | None, table: str | None) -> pl.DataFrame:
        self.notes, self.accounting = (*self._of_input, *report.notes), report.accounting
        return report_table(with_costs(report, cost_per_minute), table)


def _samples(a: str | None, b: "str | Log | None") -> tuple[ComparisonSide, ComparisonSide] | None:
    if isinstance(b, Log):
        if a is not None:
            raise UsageError(Option("a", a), ": two logs are compared as they are; filters (team=…) are for both")
        return ComparisonSide("A", {}), ComparisonSide("B", {})
    if (a is None) != (b is None):
        raise UsageError("two sides are compared: name both, or none")
    now = datetime.now(UTC)
    return None if a is None or b is None else (parse_side(f"A: {a}", a, now), parse_side(f"B: {b}", b, now))
