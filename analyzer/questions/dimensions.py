"""The dimensions of `--by`: what lookups are grouped by."""

from dataclasses import dataclass

UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension: `key` is what lookups are grouped by, `label` the value shown of a group, by its `{key}`.

    Where it is `named`, the group is an artifact, and the task it is of stands beside it. `x` is the lookup in `key`.

    A bucket of time has the UTC times it starts and ends at, by its `{key}`. In `key`, `{local}` is the time of the
    lookup's first event in the time zone `$tz`: a lookup belongs, whole, to that time.
    """

    name: str
    description: str
    key: str
    label: str = "{key}"
    start: str | None = None
    end: str | None = None
    named: bool = False

    def keyed(self, tz: str) -> str:
        """Return the key's SQL. UTC needs no conversion, which costs more than everything else."""
        return self.key.replace("{local}", "first_at" if tz == UTC else _to_local("first_at"))


def _to_local(moment: str) -> str:
    return f"timezone($tz, timezone('UTC', {moment}))"


def _to_utc(moment: str) -> str:
    return f"timezone('UTC', timezone($tz, {moment}))"


def _bucket(unit: str, pattern: str, description: str) -> Dimension:
    return Dimension(
        unit,
        description,
        f"date_trunc('{unit}', {{local}})",
        f"coalesce(strftime({{key}}, '{pattern}'), 'unknown')",
        _to_utc("{key}"),
        _to_utc(f"({{key}} + INTERVAL 1 {unit})"),
    )


# An hour is known by its start in UTC: where summer time ends, an hour of local time comes twice.
_OFFSET = f"datediff('minute', {{key}}, {_to_local('{key}')})"
HOUR = Dimension(
    "hour",
    "hour of the first event, with its offset from UTC",
    "first_at - ({local} - date_trunc('hour', {local}))",
    f"coalesce(strftime({_to_local('{key}')}, '%Y-%m-%dT%H:00') || CASE WHEN {_OFFSET} = 0 THEN 'Z'"
    f" ELSE printf('%s%02d:%02d', CASE WHEN {_OFFSET} < 0 THEN '-' ELSE '+' END, abs({_OFFSET}) // 60,"
    f" abs({_OFFSET}) % 60) END, 'unknown')",
    "{key}",
    "({key} + INTERVAL 1 HOUR)",
)


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _of_hash(column: str) -> str:
    return f"(SELECT {column} FROM name WHERE name.hash_id = x.hash_id)"


def _of_run(column: str) -> str:
    return f"""(SELECT r.{column} FROM session_run k JOIN run r ON r.id = k.run_id WHERE k.session_id = x.session_id)"""


DIMENSIONS = {
    dimension.name: dimension
    for dimension in (
        HOUR,
        _bucket("day", "%Y-%m-%d", "day of the first event"),
        _bucket("week", "%Y-%m-%d", "week of the first event, by its Monday"),
        _bucket("month", "%Y-%m", "month of the first event"),
        Dimension(
            "weekday",
            "weekday of the first event",
            "isodow({local})",
            f"coalesce({list(WEEKDAYS)}[{{key}}], 'unknown')",
        ),
        Dimension(
            "hour_of_day",
            "hour of the first event, of any day",
            "hour({local})",
            "coalesce(printf('%02d', {key}), 'unknown')",
        ),
        Dimension("ci", "CI vendor the client detected; none is not the same as a developer's machine", "ci"),
        Dimension("team", "slug, else teamId", "team"),
        Dimension("interactive", "whether the client said that a person was at the terminal", "interactive"),
        Dimension(
            "session",
            "one run of the build client",
            "session_id",
            "(SELECT session FROM store.session WHERE id = {key})",
        ),
        Dimension("hash", "the artifact", "hash_id", "(SELECT hash FROM store.hash WHERE id = {key})", named=True),
        Dimension("task", "the task's name, where run summaries tell", _of_hash("task")),
        Dimension("package", "the package of the task, where run summaries tell", _of_hash("package")),
        Dimension("branch", "the branch of the run, where its summary is known", _of_run("branch")),
        Dimension("user", "who ran it, where its summary is known", _of_run('"user"')),
        Dimension("source", "the cache that was asked; each is counted by its own events alone", "source"),
    )
}
