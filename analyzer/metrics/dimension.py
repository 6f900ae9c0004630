"""The dimensions of `--by`: what lookups are grouped by."""

from dataclasses import dataclass

# A lookup belongs to the time of its first event, whole.
_LOCAL = "timezone($tz, timezone('UTC', first_at))"
_OFFSET_MINUTES = f"datediff('minute', first_at, {_LOCAL})"
_OFFSET = (
    f"CASE WHEN {_OFFSET_MINUTES} = 0 THEN 'Z' ELSE format('{{:+03d}}:{{:02d}}',"
    f" trunc({_OFFSET_MINUTES} / 60)::INTEGER, abs({_OFFSET_MINUTES} % 60)) END"
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension: `sql` is its value for a lookup; `bucket` the unit of time it is a bucket of, if it is one."""

    name: str
    description: str
    sql: str
    bucket: str | None = None


def _bucket(unit: str, pattern: str, description: str) -> Dimension:
    label = f"strftime(date_trunc('{unit}', {_LOCAL}), '{pattern}')"
    if unit == "hour":
        label = f"{label} || {_OFFSET}"
    return Dimension(unit, description, f"coalesce({label}, 'unknown')", unit)


DIMENSIONS = {
    dimension.name: dimension
    for dimension in (
        _bucket("hour", "%Y-%m-%dT%H:00", "hour of the first event, with its offset from UTC"),
        _bucket("day", "%Y-%m-%d", "day of the first event"),
        _bucket("week", "%Y-%m-%d", "week of the first event, by its Monday"),
        _bucket("month", "%Y-%m", "month of the first event"),
        Dimension("ci", "CI vendor the client detected; none is not the same as a developer's machine", "ci"),
        Dimension("team", "slug, else teamId", "team"),
        Dimension("interactive", "whether the client said that a person was at the terminal", "interactive"),
        Dimension(
            "session", "one run of the build client", "(SELECT session FROM store.session WHERE id = session_id)"
        ),
        Dimension("hash", "the artifact", "(SELECT hash FROM store.hash WHERE id = hash_id)"),
        Dimension("source", "the cache that was asked; each is counted by its own events alone", "source"),
    )
}

BUCKET_START = f"timezone('UTC', timezone($tz, date_trunc('{{unit}}', {_LOCAL})))"
BUCKET_END = f"timezone('UTC', timezone($tz, date_trunc('{{unit}}', {_LOCAL}) + INTERVAL 1 {{unit}}))"
