"""Defines the dimensions that lookups can be grouped by: the SQL of their keys, labels and, for buckets, bounds.

A lookup belongs, whole, to the bucket of its first event. Stored times are naive UTC. Day, week and month buckets are
cut in the time zone `$tz` of the query, so their keys are local times, and their bounds are converted back to UTC to
compare them with the period that the log covers.
"""

from dataclasses import dataclass

from analyzer.archive.counts import QUARTER_OF
from analyzer.table import HASH, TEXT

QUARTER_AT = QUARTER_OF.format(time="quarter_at")


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension: lookups with equal `key` are a group, which is displayed as `label`.

    Args:
        name: the value of the option `by`, and the name of the column.
        description: what the column holds.
        key: SQL over a row `x` of counts; `utc_at` is the time of its first event, to the quarter of an hour, and
            `local_at` the same in the time zone of the question.
        label: SQL over the group's key, written `{key}`; evaluated once per group, not once per lookup.
        bounds: for buckets of time, the SQL of the first and the last UTC time of the bucket, over `{key}`.
        unit: the unit of the column; the column of HASH is followed by one with the name of the task.
        by_lookup: the key differs between the lookups of a session, so that each must be read.
        of_runs: the key is in run summaries only.
    """

    name: str
    description: str
    key: str
    label: str = "{key}"
    bounds: tuple[str, str] | None = None
    unit: str = TEXT
    by_lookup: bool = False
    of_runs: bool = False

    @property
    def key_name(self) -> str:
        """The name of the key's column in the query."""
        return f"key_{self.name}"

    def over_key(self, sql: str) -> str:
        """Return SQL such as `label` with the name of the key's column filled in."""
        return sql.replace("{key}", self.key_name)


def _to_local(utc: str) -> str:
    return f"timezone($tz, timezone('UTC', {utc}))"


def _to_utc(local: str) -> str:
    return f"timezone('UTC', timezone($tz, {local}))"


# The times of rows of counts. Time zone conversion costs more than the rest of a query: each quarter is converted once.
UTC_TIMES = "(SELECT *, quarter_at AS utc_at, quarter_at AS local_at FROM {counted})"
LOCAL_TIMES = f"""
({{counted}} LEFT JOIN (
    SELECT utc_at, {_to_local("utc_at")} AS local_at FROM (SELECT DISTINCT {QUARTER_AT} AS utc_at FROM {{counted}})
) ON utc_at = {QUARTER_AT})
"""


def _bucket(unit: str, pattern: str, description: str) -> Dimension:
    key, label = f"date_trunc('{unit}', local_at)", f"coalesce(strftime({{key}}, '{pattern}'), 'unknown')"
    return Dimension(unit, description, key, label, (_to_utc("{key}"), _to_utc(f"({{key}} + INTERVAL 1 {unit})")))


# An hour's key is its start in UTC: when summer time ends, one hour of local time occurs twice.
_OFFSET = f"datediff('minute', {{key}}, {_to_local('{key}')})"
_HOUR = Dimension(
    "hour",
    "hour of the first event, with its offset from UTC",
    # The fraction of the hour is taken in local time: some zones are half an hour off.
    "utc_at - (local_at - date_trunc('hour', local_at))",
    f"coalesce(strftime({_to_local('{key}')}, '%Y-%m-%dT%H:00') || CASE WHEN {_OFFSET} = 0 THEN 'Z'"
    f" ELSE printf('%s%02d:%02d', CASE WHEN {_OFFSET} < 0 THEN '-' ELSE '+' END, abs({_OFFSET}) // 60,"
    f" abs({_OFFSET}) % 60) END, 'unknown')",
    ("{key}", "({key} + INTERVAL 1 HOUR)"),
)

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _of_task(column: str) -> str:
    return f"(SELECT {column} FROM name WHERE name.hash_id = x.hash_id)"


def _of_run(column: str) -> str:
    return f"(SELECT r.{column} FROM session_run k JOIN run r ON r.id = k.run_id WHERE k.session_id = x.session_id)"


_ALL = (
    _HOUR,
    _bucket("day", "%Y-%m-%d", "day of the first event"),
    _bucket("week", "%Y-%m-%d", "week of the first event, written as its Monday"),
    _bucket("month", "%Y-%m", "month of the first event"),
    Dimension("weekday", "weekday of the first event", "isodow(local_at)",
              f"coalesce({list(WEEKDAYS)}[{{key}}], 'unknown')"),
    Dimension("hour_of_day", "hour of the day (00 to 23) of the first event", "hour(local_at)",
              "coalesce(printf('%02d', {key}), 'unknown')"),
    Dimension("ci", "CI vendor that the client detected; null does not imply a developer's machine", "ci"),
    Dimension("team", "slug of the team, else its teamId", "team"),
    Dimension("interactive", "whether the client reported an interactive terminal", "interactive"),
    Dimension("session", "one run of the build client", "session_id",
              "(SELECT session FROM store.session WHERE id = {key})"),
    Dimension("hash", "the artifact", "hash_id", "(SELECT hash FROM store.hash WHERE id = {key})", unit=HASH,
              by_lookup=True),
    Dimension("task", "name of the task, if a run summary lists it", _of_task("task"), by_lookup=True,
              of_runs=True),
    Dimension("package", "package of the task, if a run summary lists it", _of_task("package"),
              by_lookup=True, of_runs=True),
    Dimension("branch", "branch of the run, if its summary is known", _of_run("branch"), of_runs=True),
    Dimension("user", "user who started the run, if its summary is known", _of_run('"user"'), of_runs=True),
    Dimension("source", "the cache asked; each cache's lookups are counted from its own events", "source",
              by_lookup=True),
)  # fmt: skip
DIMENSIONS = {dimension.name: dimension for dimension in _ALL}
