"""`Log`: the questions of the command line as methods, answered as Polars data frames."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Concatenate, Literal, NoReturn, ParamSpec, Self, TypeVar, Unpack

import polars as pl

from analyzer.api.filters import Filters, as_tuple, selection_of
from analyzer.api.frames import report_table, scan_relation, with_bucket_types
from analyzer.api.lifetime import LogHandle
from analyzer.archive.database import database_errors
from analyzer.archive.schema import NAMED_EVENTS, NAMED_LOOKUPS
from analyzer.archive.selection import View
from analyzer.errors import Option, QueryError, UsageError
from analyzer.questions.causes import causes
from analyzer.questions.compare import compare
from analyzer.questions.comparison_sides import ComparisonSide, parse_side
from analyzer.questions.doctor.report import doctor
from analyzer.questions.misses import misses
from analyzer.questions.options import (
    CausesOptions,
    CompareOptions,
    GroupOptions,
    MissesOptions,
    RetentionOptions,
    SessionsOptions,
    StatsOptions,
)
from analyzer.questions.report import Report, with_costs
from analyzer.questions.retention import retention as retention_curve
from analyzer.questions.run_changes import one_run
from analyzer.questions.sessions import one_session, sessions
from analyzer.questions.sql import prepare_query
from analyzer.questions.stats import stats
from analyzer.validation import require_utf8

# Types that become other ones in the file by which SQL gets a data frame.
LOST_IN_PARQUET = (pl.Duration, pl.Int128, pl.UInt128, pl.Object)
ROWS_PER_BATCH = 500_000  # that lazy frames read at once

P = ParamSpec("P")
R = TypeVar("R")


def _question(method: "Callable[Concatenate[Log, P], R]") -> "Callable[Concatenate[Log, P], R]":
    """Make a method hold the locks of all logs it is about: questions create temporary tables on their connections."""

    @wraps(method)
    def locked(log: "Log", /, *args: P.args, **kwargs: P.kwargs) -> R:
        handles = {one._handle for one in (log, *args, *kwargs.values()) if isinstance(one, Log)}  # noqa: SLF001
        with ExitStack() as locks:
            # Always in the same order, so that two threads that compare the same logs cannot deadlock.
            for handle in sorted(handles, key=id):
                locks.enter_context(handle.lock)
                locks.callback(handle.drop_selections)
            with database_errors():
                return method(log, *args, **kwargs)

    return locked


class Log:
    """An open log, returned by `analyzer.load`. It is closed by `with` or `close`.

    Each question takes the filters of `Filters` as keyword arguments, and returns its main table as a
    `polars.DataFrame`; `table` selects another table of the answer. Ratios are between 0 and 1, times are naive UTC,
    `_ms` columns are milliseconds of task time, and null means unknown. `notes` has what to know about the input and,
    after a question, about its answer; `accounting` has the number of events read, kept, rejected and filtered.

    Counts are `Int64`; ratios, their changes, times in `_ms` and money (`_cost`) are `Float64`; columns that end in
    `_at` are `Datetime("us")`; others are `String` unless stated otherwise. Columns that end in `_low` and `_high` are
    the bounds of a rate's 95 % confidence interval.

    A log can be used by several threads: it answers one question at a time, while lazy frames are collected in
    parallel. `notes` and `accounting` then belong to the last question of any thread.

    Every question raises UsageError for an invalid argument or a closed log, and QueryError if the SQL of `where` does
    not run. `cost_per_minute` is the cost of a minute of task time: it adds a column `_cost` for each one of task time.
    """

    def __init__(self, handle: LogHandle, view: View, description: str, notes: Sequence[str]) -> None:
        self._handle, self._view, self._description, self._load_notes = handle, view, description, tuple(notes)
        self.notes: Sequence[str] = self._load_notes
        self.accounting = handle.log().counts()

    def __repr__(self) -> str:
        return f"<analyzer.Log {self._description}{'' if self._handle.is_open else ', closed'}>"

    def __reduce__(self) -> NoReturn:
        self._handle.__reduce__()

    def __enter__(self) -> Self:
        self._handle.log()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the log. Its lazy frames can no longer be collected."""
        self._handle.close()

    @_question
    def stats(
        self, *, by: str | Sequence[str] | None = None, tz: str = "UTC", sort: str | None = None,
        limit: int | None = None, min_lookups: int | None = None, restore_cost: tuple[float, float] | None = None,
        cost_per_minute: float | None = None, table: Literal["totals"] | None = None, **filters: Unpack[Filters],
    ) -> pl.DataFrame:  # fmt: skip
        """Return hit rates and time saved: one row, or one per group of `by`.

        Columns: one per dimension of `by`, with its name; then

        - `events`, `sessions`, `lookups`, `hits`, `local_hits`, `remote_hits`, `misses` and `local_only_misses` (misses
          without a REMOTE event): counts. A session counts in every group that it has a lookup in.
        - `hit_rate`, `local_hit_rate` (of lookups with a LOCAL event), `remote_hit_rate` (of those with a REMOTE one).
        - `time_saved_ms`: sum of the durations of hits, as sequential task time; `duration_coverage`: the ratio of hits
          with a known duration.
        - `first_at`, `last_at`: times of the first and last event.
        - `partial` (`Boolean`, with time buckets): the log, or the selected time, covers only a part of the bucket.

        `day`, `week` (its Monday) and `month` (its first day) are `Date`, and `hour` is its start as
        `Datetime("us", tz)`; lookups without a time are in the bucket null. `interactive` is `Boolean`; `weekday` and
        `hour_of_day` are `String`, `unknown` without a time. With `hash`, `name` is the task of the hash.
        `analyzer stats --explain` prints the definition, caveats and SQL of every measure.

        Args:
            by: `hour`, `day`, `week`, `month`, `weekday`, `hour_of_day`, `ci`, `team`, `interactive`, `session`,
                `hash`, `task`, `package`, `branch`, `user` or `source`; several as a list, or separated by commas.
            tz: IANA time zone of the buckets, such as `Europe/Berlin`.
            sort: columns, separated by commas; `-` before a name sorts in descending order.
            limit: maximum number of groups.
            min_lookups: groups with fewer lookups are left out.
            restore_cost: milliseconds to restore a local and a remote hit; adds `net_saved_ms`.
            cost_per_minute: see `Log`.
            table: `totals` returns the totals also with `by`.
            filters: see `Filters`.

        Raises:
            UsageError, QueryError: see `Log`.

        >>> import analyzer
        >>> with analyzer.load("sample_data") as log:
        ...     log.stats(by="ci", sort="-lookups", limit=2)["ci"].to_list()
        ['GITHUB_ACTIONS', None]
        """
        if restore_cost is not None and len(restore_cost) != len(("local", "remote")):
            expected = ": milliseconds of a local and of a remote hit are expected"
            raise UsageError(Option("restore_cost", restore_cost), expected)
        options = StatsOptions(_names(by), tz, sort, limit, min_lookups, cost_per_minute is not None, restore_cost)
        report = stats(self._handle.log(), selection_of(filters, self._view), options)
        return with_bucket_types(self._answer(report, cost_per_minute, table), tz)

    @_question
    def misses(
        self, *, by: str | Sequence[str] | None = None, tz: str = "UTC", sort: str | None = None,
        limit: int | None = None, min_lookups: int | None = None, retention: float = 7,
        cost_per_minute: float | None = None,
        table: Literal["misses", "classes", "changed_hashes", "top"] | None = None, **filters: Unpack[Filters],
    ) -> pl.DataFrame:  # fmt: skip
        """Return why lookups missed, and the task time of the misses: one row per class of misses, or per group.

        - with `by` (main table then): one column per dimension; `lookups`, `misses`, `miss_rate`, `time_lost_ms` and
          `imputed_coverage` (see below), `avoidable_misses`, `avoidable_time_ms`, `avoidable_coverage`, `sessions`
          with a miss, the number of misses of each class, and `partial` with time buckets (see `stats`).
        - `classes` (main table without `by`): `class` (`cold`, `unknown_cold`, `repeat`, `concurrent`, `expired`,
          `evicted`, `local_only`, `untimed`), `misses`, `share` (of all misses), `sessions`, `time_lost_ms` (known
          or imputed durations of the tasks), `imputed_coverage` (the ratio of misses that have one), `definition`,
          `avoidable` (`Boolean`: a hit if the artifact were still in the cache).
        - `misses` (one row): `lookups`, `misses`, `miss_rate`, `time_lost_ms`, `imputed_coverage`,
          `avoidable_time_ms`, `avoidable_coverage` (the ratio of avoidable misses with a known or imputed duration),
          `time_saved_ms`, `avoidance_ratio` (time saved / (time saved + time of misses)), `one_hit_wonders` (hashes
          with a single lookup), `hashes`.
        - `changed_hashes` (cold misses of runs with a summary, one row per `kind` of what changed the hash; see
          `causes`): `misses`, `share`, `time_lost_ms`, `imputed_coverage`.
        - `top` (one row per task or hash with the largest avoidable time): `hash` and its task as `name`, or `task`;
          `avoidable_time_ms`, `avoidable_misses`, `sessions`, `first_seen` and `last_seen` (`Datetime("us")`), the
          counts `repeat`, `concurrent`, `expired` and `evicted`, and `likely_causes`.

        Args:
            by: dimensions, as of `stats`, without `source`. `top` is by `hash` or `task` if `by` names one of them,
                else by `task` if the tasks of most misses are known, else by `hash`.
            tz: IANA time zone of the buckets.
            sort: columns of the groups, separated by commas; `-` before a name sorts in descending order.
            limit: maximum number of groups, and of rows of `top` (10 if left out).
            min_lookups: groups with fewer lookups are left out.
            retention: number of days that the cache keeps artifacts now.
            cost_per_minute: see `Log`.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError, QueryError: see `Log`; the filters `source` and `event` are invalid.
        """
        names, top = _names(by), MissesOptions().limit if limit is None else limit
        groups = GroupOptions(names, tz, sort, limit if names else None, min_lookups, cost_per_minute is not None)
        report = misses(self._handle.log(), selection_of(filters, self._view), MissesOptions(retention, groups, top))
        return with_bucket_types(self._answer(report, cost_per_minute, table), tz)

    @_question
    def causes(
        self, run: str | None = None, baseline: str | None = None, *, task: str | None = None, limit: int = 10,
        cost_per_minute: float | None = None, table: str | None = None, **filters: Unpack[Filters],
    ) -> pl.DataFrame:  # fmt: skip
        """Return which inputs changed the hashes of tasks that missed, from run summaries: one row per cause.

        Each task of a run is compared with its baseline: the latest earlier run of it, on the same branch if there is
        one. Causes are root causes: those of the tasks that it depends on count for it.

        - `causes` (main table): `cause` (as text), `kind` (`file`, `variable`, `external_dependencies`, `global_file`,
          `global_variable`, `global_setting`, `arguments`, `definition`, `dependency`, `turbo_version`, `unknown`) and
          `name`; `misses` whose hash it changed, those of them that are `shared` with other causes, its `part`
          (`Float64`: a miss with n causes counts 1/n for each) and `share` of all these misses; `time_lost_ms` (its
          part of their task time) and `imputed_coverage`; the number of `tasks` and `runs`; `first_seen` and
          `last_seen` (`Datetime("us")`), `example` (the last such run).
        - `kinds`: the same by `kind`, with the number of `causes` and a `definition`.
        - `totals` (one row): `misses`, those whose hash `changed`, those of `new_tasks`, with the `same_hash` as the
          baseline, and `unlisted`; `time_lost_ms` and `imputed_coverage` of those that changed.
        - `suspects`: files and variables that change a hash in nearly every run: `cause`, `kind`, `name`, `tasks`,
          the first `task`, `task_names`, `runs`, `changed_share`, `advice`.
        - `same_commit`: what differs where runs of one commit have different hashes: `cause`, `kind`, `name`, `tasks`,
          `commits`, `runs`, `commit` (the last one), `example`.

        With `run`, what changed in it: one row per task that changed, is new, or missed.

        - `tasks` (main table): `task`, `outcome`, `task_time_ms`, `changes` (in the task itself), `causes`, `hash_is`
          (`changed`, `same`, `new`), `hash`, `baseline`.
        - `causes`: `cause`, `kind`, `name`, `tasks`, `misses`, `time_lost_ms`, `imputed_coverage`.
        - `changes` (one row per input): `change` (`changed`, `added`, `removed`), `kind`, `input`, `tasks`, `task`.
        - `run` (one row): `run`, `command`, `branch`, `sha`, `started_at`, `baseline`, `tasks`, `misses`, `changed`,
          `same_hash`, `new_tasks`.

        Args:
            run: the id of a run, or a unique prefix of it.
            baseline: the id of the run to compare it with; by default each task has a baseline of its own.
            task: of `run`, this task alone, as `package#task`.
            limit: maximum number of rows of `causes` and `same_commit`.
            cost_per_minute: see `Log`.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError, QueryError: see `Log`; there are no run summaries, no such run or task, or the filters `source`
                or `event` are given.
        """
        options = CausesOptions(limit, task)
        log, selection = self._handle.log(), selection_of(filters, self._view)
        if baseline is not None and run is None:
            raise UsageError(Option("baseline", baseline), ": is compared with a run; name it as well")
        ids = [one for one in (run, baseline) if one is not None]
        report = one_run(log, selection, ids, options) if run is not None else causes(log, selection, options)
        return self._answer(report, cost_per_minute, table)

    @_question
    def retention(
        self, *, retention: float = 7, cost_per_minute: float | None = None,
        table: Literal["observed", "curve", "steps"] | None = None, **filters: Unpack[Filters],
    ) -> pl.DataFrame:  # fmt: skip
        """Return hit rate and time saved by how long the cache keeps artifacts: one row per policy and number of days.

        - `curve` (main table): `policy` (`absolute`: days since the upload; `sliding`: since the last use), `days`
          (`Int64`), `remote_hit_rate`, `hits`, `time_saved_ms`, `time_saved_a_week_ms`, `artifacts` (average number
          stored), `extrapolated` (`Boolean`: longer than half of the log).
        - `steps` (one row per policy and step from `retention` days): `policy`, `step` (`7 d → 14 d`),
          `hit_rate_change`, `saved_a_week_change_ms`, `artifacts_factor`, `extrapolated`.
        - `observed` (one row): `remote_lookups`, `remote_hits`, `remote_hit_rate`, `duration_coverage` (of lookups).

        There are no rows if no lookup has a REMOTE event with a time.

        Args:
            retention: number of days that the cache keeps artifacts now.
            cost_per_minute: see `Log`.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError, QueryError: see `Log`; the filters `source` and `event` are invalid.
        """
        report = retention_curve(self._handle.log(), selection_of(filters, self._view), RetentionOptions(retention))
        return self._answer(report, cost_per_minute, table)

    @_question
    def sessions(
        self,
        id: str | None = None,  # noqa: A002  (the argument's name)
        *, limit: int = 10, by: str | Sequence[str] | None = None, tz: str = "UTC", retention: float = 7,
        cost_per_minute: float | None = None, table: str | None = None, **filters: Unpack[Filters],
    ) -> pl.DataFrame:  # fmt: skip
        """Return outliers among the sessions, one row per session; with `id`, the lookups of one, a row per lookup.

        - `low_hit_rate` (main table) and `time_lost`: `session`, `hit_rate`, `lookups`, `time_lost_ms` (durations of
          the tasks that missed) and its `imputed_coverage` (the ratio of misses that have one), `time_saved_ms` and
          its `duration_coverage` (the same of hits), `first_at`, `team`, `ci`, `branch`, `command`, `deviation` (of
          its hit rate from the pooled one, in standard errors).
        - `percentiles` (rows `p5` to `p95`), and with `by` (main table then) the same for each group: one column per
          dimension, `percentile`, `lookups`, `hit_rate`, `time_saved_ms`, `duration_coverage`, `time_lost_ms`,
          `imputed_coverage`, and the number of `sessions`.
        - `lookups` (main table with `id`): `hash`, `name` (its task), `outcome` (`local_hit`, `remote_hit`, `miss`),
          `class` (of a miss, see `misses`), `duration_ms` (of a hit the time saved, of a miss the duration of its
          task), `first_at`.
        - `session` (one row, with `id`): `session`, `run`, `command`, `branch`, `sha`, `user`, `team`, `ci`,
          `first_at`, `last_at`, `lookups`, `hits`, `hit_rate`, `time_saved_ms`, `duration_coverage`, `time_lost_ms`,
          `imputed_coverage`, `warm_cache_saves_ms` (time saved if all lookups hit), `warm_cache_coverage` (the ratio of
          lookups with a known duration).

        Args:
            id: the id of a session or a run, or a unique prefix of it.
            limit: maximum number of rows of `low_hit_rate` and of `time_lost`.
            by: dimensions of percentiles, as of `stats`, without `source`. A session belongs to the time bucket of
                its first lookup.
            tz: IANA time zone of the buckets.
            retention: number of days that the cache keeps artifacts now.
            cost_per_minute: see `Log`.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError, QueryError: see `Log`; the filters `source` and `event` are invalid.
        """
        options = SessionsOptions(limit, retention, GroupOptions(_names(by), tz))
        log, selection = self._handle.log(), selection_of(filters, self._view)
        report = sessions(log, selection, options) if id is None else one_session(log, selection, id, options)
        return with_bucket_types(self._answer(report, cost_per_minute, table), tz)

    @_question
    def compare(
        self, a: str | None = None, b: "str | Log | None" = None, *, limit: int = 5,
        cost_per_minute: float | None = None, table: str | None = None, **filters: Unpack[Filters],
    ) -> pl.DataFrame:  # fmt: skip
        """Compare two sides, A and B: return one row of the changes from A to B.

        - `change` (main table): `hit_rate_change` and `remote_hit_rate_change`, each with `_low` and `_high`;
          `time_saved_change_ms`, `time_lost_change_ms`, `change` (`rose`, `fell`, or that the difference may be
          chance), `change_began` (the day in UTC as `String`, if the
          change is more than chance and a day stands out; days of outages do not count).
        - `sides` (one row for A and one for B): `side`, `sessions`, `lookups`, `hit_rate` with `_low` and `_high`,
          `remote_hit_rate`, `local_only_misses`, `time_saved_ms` and its `duration_coverage`, `time_lost_ms` and its
          `imputed_coverage`, `days` (with lookups), `first_at`, `last_at`.
        - `effects` (one row per dimension): `by`, `hit_rate_change` and its parts, `rate_effect` (groups hit more or
          less often; null if A and B have no group in common) and `mix_effect` (the shares of groups changed); the
          number of `groups`.
        - `by_team`, `by_ci`, `by_task`, `by_package` (one row per group): its name, `hit_rate_a`, `hit_rate_b`,
          `rate_effect`, `mix_effect`, `lookups_a`, `lookups_b`, `effect` (the sum of both).

        Args:
            a: `FROM..UNTIL`, `NAME=VALUE` (team, ci, interactive, session, hash, status), or both separated by commas.
            b: the same for side B; or another log, to compare this log with it: then without `a`, and filters apply to
                both. Without sides, the last 7 days of the log are compared with the 7 days before.
            limit: maximum number of groups per dimension.
            cost_per_minute: see `Log`.
            table: another table of the answer.
            filters: see `Filters`.

        Raises:
            UsageError, QueryError: see `Log`; the filters `source` and `event` are invalid.
        """
        logs = [log._handle.log() for log in ([self, b] if isinstance(b, Log) else [self])]  # noqa: SLF001
        report = compare(logs, selection_of(filters, self._view), _sides(a, b), CompareOptions(limit))
        return self._answer(report, cost_per_minute, table)

    @_question
    def doctor(self, **filters: Unpack[Filters]) -> pl.DataFrame:
        """Return problems of the log itself: one row per finding, none if there is no problem.

        Columns: `finding`, `severity` (`problem`, `notice`), `count`, `what` (the evidence), `remedy`, `definition`.

        Raises:
            UsageError, QueryError: see `Log`; the filters `source` and `event` are invalid.
        """
        return self._answer(doctor(self._handle.log(), selection_of(filters, self._view)), None, None)

    @_question
    def sql(self, query: str, /, **tables: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
        """Run a DuckDB SQL query on the relations of an archive, and on data frames by the names of `tables`.

        They are `events`, `lookups`, `sessions`, `session_quarters`, `runs`, `tasks`, `inputs` (what hashes are made
        of), `artifacts`, `files` and `rejects`. The first four hold the events, whichever view answers other questions.
        `FROM columns` returns what the columns of all relations mean; `DESCRIBE lookups` has the types of one. Times
        with a time zone become naive UTC; types that data frames lack, such as `INTERVAL`, become the text that DuckDB
        writes; `HUGEINT` becomes `Decimal`.

        Raises:
            QueryError: the SQL does not run, is not a single query, or returns integers of more than 38 digits.
            UsageError: the log is closed, or a name of `tables` is that of a relation.

        >>> import analyzer
        >>> with analyzer.load("sample_data") as log:
        ...     log.sql("SELECT count(*) AS n FROM lookups WHERE outcome = 'miss' AND team = 'web'")["n"].item() > 0
        True
        >>> prices = pl.DataFrame({"team": ["web"], "price": [0.01]})
        >>> with analyzer.load("sample_data") as log:
        ...     query = "SELECT sum(time_saved_ms / 6e4 * price) AS saved FROM sessions JOIN prices USING (team)"
        ...     round(log.sql(query, prices=prices)["saved"].item())
        21
        """
        self._require_one_place("sql")
        require_utf8("query", query)
        with TemporaryDirectory() as directory:
            paths = {name: Path(directory) / f"{number}.parquet" for number, name in enumerate(tables)}
            files = {name: _write_frame(name, frame, paths[name]) for name, frame in tables.items()}
            result = prepare_query(self._handle.log(), query, files)
        self._remember(result.report())
        return result.frame()

    def events(self) -> pl.LazyFrame:
        """Return all events as a lazy frame, read from the log while it is collected: it may be larger than memory.

        With the view `runs`, these are the events that clients report for the tasks of the run summaries.

        Columns are those of the relation `events`: the fields of the API, `session` (its `sessionId`), `source`
        (`LOCAL`, `REMOTE`), `event` (`HIT`, `MISS`), `hash` and `duration` (`Float64`, ms; 0 is unknown); `timestamp`
        (`Datetime("us")`, naive UTC), `team_id`, `slug`, `team` (the slug, or else the team id), `ci`, `interactive`
        (`Boolean`), `status` (`Int32`, of the request), `file` and `position` (`Int64`, in the file). The order of rows
        is not defined.

        Raises:
            UsageError: the log is closed; also when the frame is collected.
        """
        sql = NAMED_EVENTS.format(more_columns="", event="{table}")
        return scan_relation(sql, self._table("event"), ROWS_PER_BATCH, self._handle.read)

    def lookups(self) -> pl.LazyFrame:
        """Return all lookups as a lazy frame, read from the log while it is collected: it may be larger than memory.

        Columns are those of the relation `lookups`: `session`, `hash`, `outcome` (`local_hit`, `remote_hit`, `miss`),
        `local_only_miss` (`Boolean`), `duration_ms` (`Float64`, known duration of a hit), `first_at`, `last_at`
        (`Datetime("us")`, naive UTC), `team_id`, `slug`, `team` (the slug, or else the team id), `ci`, `interactive`
        (`Boolean`), `task` and `package` (from run summaries), `events` (`Int64`). The order of rows is not defined.

        Raises:
            UsageError: the log is closed; also when the frame is collected.

        >>> import analyzer
        >>> with analyzer.load("sample_data") as log:
        ...     log.lookups().select((pl.col("outcome") != "miss").mean().round(2)).collect().item()
        0.87
        """
        sql = NAMED_LOOKUPS.format(lookup="{table}")
        return scan_relation(sql, self._table("lookup"), ROWS_PER_BATCH, self._handle.read)

    def _table(self, name: str) -> str:
        """Return the name of a table of the view that answers questions."""
        self._require_one_place(f"{name}s")
        return name if self._handle.log().view == "runs" else f"store.{name}"

    def _require_one_place(self, what: str) -> None:
        if self._handle.log().divided:
            raise UsageError(f"{what}: all rows in one place are needed; load the lake without ", Option("engine"))

    def _answer(self, report: Report, cost_per_minute: float | None, table: str | None) -> pl.DataFrame:
        self._remember(report)
        return report_table(with_costs(report, cost_per_minute), table)

    def _remember(self, report: Report) -> None:
        self.notes, self.accounting = (*self._load_notes, *report.notes), report.accounting


def _write_frame(name: str, frame: pl.DataFrame | pl.LazyFrame, path: Path) -> Path:
    """Write a data frame to a Parquet file, and return its path."""
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        raise UsageError(
            f"{name}: a data frame of Polars is expected, not {type(frame).__name__}; pl.DataFrame(…) makes one"
        )
    try:
        whole = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
        for column, kind in whole.schema.items():
            if kind in LOST_IN_PARQUET or kind == pl.Datetime("ns"):
                raise QueryError(f"{name}: column {column!r} has the type {kind}, which SQL cannot keep; cast it")
        if not whole.width or len({column.lower() for column in whole.columns}) < whole.width or "" in whole.columns:
            raise QueryError(f"{name}: a column has no name, or two have the same; rename them (SQL ignores case)")
        whole.write_parquet(path)
    except (pl.exceptions.PolarsError, OSError, ArithmeticError) as error:
        raise QueryError(f"{name}: {str(error).splitlines()[0]}") from None
    return path


def _names(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of dimensions, which may also be separated by commas."""
    return tuple(name for group in as_tuple("by", () if by is None else by) for name in group.split(","))


def _sides(a: str | None, b: "str | Log | None") -> tuple[ComparisonSide, ComparisonSide] | None:
    """Return the sides of a comparison; None compares the last 7 days with those before."""
    if isinstance(b, Log):
        if a is not None:
            raise UsageError(Option("a", a), ": leave it out to compare two logs; filters (team=…) apply to both")
        return ComparisonSide("A", {}), ComparisonSide("B", {})
    if (a is None) != (b is None):
        raise UsageError("one side only: name both sides, or none")
    now = datetime.now(UTC)
    if a is None or b is None:
        return None
    require_utf8("a", a)
    require_utf8("b", b)
    return (parse_side(f"A: {a}", a, now), parse_side(f"B: {b}", b, now))
