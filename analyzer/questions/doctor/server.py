"""Findings about the cache server: lookups that never reached it, and durations that it does not return."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from analyzer.archive.counts import by_session
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, count_reads
from analyzer.errors import Option
from analyzer.questions.doctor import TEAM_LABEL, Finding, minute_text, read_teams
from analyzer.questions.scope import Given, Rows, Scope, Step, select_scope

# Sessions of one team and one CI vendor share a token, so each such group is examined in the order of time. A session
# that hardly asked the remote cache is offline. A streak of offline sessions is an outage if it is too long for chance:
# among N sessions, of which a share p is offline, about N * p^n streaks of n are expected. A streak ends with the next
# session that is not offline; of days without any offline session, the last session tells all. Streaks that overlap in
# time are one outage. Sessions are examined, not days, because outages begin and end within a day.

# The sessions that had a local miss; a place is a team and a CI vendor.
MISSING = f"""
SELECT place, team, first_at, first_at::DATE AS day, had_local_miss AS misses,
       asked_remote_after_local_miss AS asked, asked < 0.05 * misses AS is_offline
FROM {by_session()}
JOIN (SELECT id AS context_id, dense_rank() OVER (ORDER BY team, ci) AS place FROM store.context) USING (context_id)
WHERE had_local_miss > 0 AND first_at IS NOT NULL
"""
# The offline sessions of some places, each with the bounds of the outage of its place that it is a part of, if any.
OFFLINE = """
WITH missing AS MATERIALIZED (FROM {rows}),
usual AS (
    SELECT place, count(*) AS sessions, avg(is_offline::INTEGER) AS chance FROM missing
    GROUP BY place HAVING sum(asked) > 0.5 * sum(misses)),
offline AS (SELECT * FROM missing JOIN usual USING (place) WHERE is_offline),
online AS (
    SELECT place, first_at FROM missing SEMI JOIN (SELECT DISTINCT place, day FROM offline) USING (place, day)
    WHERE NOT is_offline
    UNION ALL SELECT place, max(first_at) FROM missing WHERE NOT is_offline GROUP BY place, day),
streak AS (
    SELECT o.place, b.first_at AS after, min(o.first_at) AS since, max(o.first_at) AS until
    FROM offline o ASOF LEFT JOIN online b ON b.place = o.place AND b.first_at <= o.first_at
    GROUP BY o.place, b.first_at
    HAVING sum(misses) >= 20 AND count(*) >= 5 AND max(o.first_at) - min(o.first_at) >= INTERVAL 1 HOUR
       AND any_value(sessions) * pow(any_value(chance), count(*)) < 0.01)
SELECT o.team, o.first_at, o.misses, s.since, s.until
FROM offline o LEFT JOIN streak s ON s.place = o.place AND o.first_at BETWEEN s.since AND s.until
"""
OUTAGE_ROWS = f"""
WITH offline AS MATERIALIZED (FROM {{parts}}),
streaks AS (SELECT DISTINCT team, since, until FROM offline WHERE since IS NOT NULL),
starts AS (
    SELECT *, since > max(until) OVER (ORDER BY since, until, team
                                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_new
    FROM streaks),
merged AS (SELECT *, count(*) FILTER (is_new) OVER (ORDER BY since, until, team) AS outage FROM starts),
outages AS (SELECT min(since) AS since, max(until) AS until FROM merged GROUP BY outage)
SELECT sum(misses)::BIGINT, count(*), {minute_text("a.since")}, {minute_text("a.until")},
       string_agg(DISTINCT coalesce(team, 'no team'), ', ' ORDER BY coalesce(team, 'no team')), a.since, a.until
FROM outages a JOIN offline o ON o.first_at BETWEEN a.since AND a.until
GROUP BY ALL ORDER BY since
"""


def find_outages(scope: Scope, sql: str) -> list[tuple[Any, ...]]:
    """Run the SQL of OUTAGES, which reads the offline sessions of all places as `{parts}`."""
    steps = [Step("session_id", _missing, count_reads(scope.selection)), Step("place", _offline)]
    return scope.gather(steps).rows("offline", sql)


def _missing(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({}, {"missing": Rows(scope.selected, MISSING)})


def _offline(_scope: Scope, passed: Mapping[str, Rows]) -> Given:
    return Given({"offline": passed["missing"].read_by(OFFLINE)})


OUTAGES = Finding(
    name="outages",
    section="hit-rate",
    definition="at least 5 consecutive sessions of a team and CI vendor, over an hour or longer, that asked the remote"
    " cache for less than 5 % of at least 20 local misses, although the team and vendor ask it for most of theirs; too"
    " many in a row to be chance",
    sql=OUTAGE_ROWS,
    read=find_outages,
    what="from {2} to {3} UTC, {0:,} local misses of {1:,} sessions were not looked up in the remote cache (team: {4})",
    remedy="the remote cache was unreachable, it limited the rate of requests (429 on artifacts), or a token had"
    " expired: check the server's log of that time, and exclude it when you compare hit rates",
    options=(Option("since"), Option("until")),
)

MAX_OUTAGES = 3  # that notes describe one by one

# From the first to the last lookup of an answer; None without lookups.
Period = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Outage:
    """A period in which lookups did not reach the remote cache, and its description."""

    since: datetime
    until: datetime
    text: str


def outages_in(log: OpenLog, selection: Selection, periods: Sequence[Period]) -> list[Outage]:
    """Return the outages in at least one of `periods`. The times of `selection` are ignored."""
    # Over the whole log: an outage shows only in contrast to the time before and after it.
    scope = select_scope(log, replace(selection, since=None, until=None, last=None))
    found = [Outage(row[-2], row[-1], OUTAGES.what.format(*row)) for row in find_outages(scope, OUTAGE_ROWS)]
    return [
        one
        for one in found
        if any(first and last and one.since <= last and one.until >= first for first, last in periods)
    ]


def outage_notes(log: OpenLog, selection: Selection, periods: Sequence[Period]) -> Iterator[str]:
    """Yield a note for each outage in at least one of `periods`, for answers that it changes."""
    yield from describe_outages(outages_in(log, selection, periods))


def describe_outages(found: Sequence[Outage]) -> Iterator[str]:
    """Yield a note for each outage; of many, the last ones are described."""
    for outage in found[-MAX_OUTAGES:]:
        yield f"an outage of the remote cache: {outage.text}"
    if len(found) > MAX_OUTAGES:
        yield f"outages of the remote cache before these: {len(found) - MAX_OUTAGES:,}; `doctor` lists them"


NEVER_REMOTE = Finding(
    name="never_remote",
    section="misses",
    definition="a team with at least 20 local misses and no REMOTE event",
    read=read_teams,
    sql=f"""
SELECT misses, {TEAM_LABEL}, {minute_text("first_at")}, {minute_text("last_at")}
FROM (SELECT team, sum(had_local_miss)::BIGINT AS misses, min(first_at) AS first_at, max(last_at) AS last_at
      FROM {{parts}} GROUP BY team HAVING sum(asked_remote) = 0)
WHERE misses >= 20 ORDER BY misses DESC, team NULLS LAST
""",
    what="{1}: none of {0:,} local misses from {2} to {3} UTC was looked up in the remote cache",
    remedy="the remote cache is disabled for the team (in turbo's configuration, or by a token without access) or never"
    " reached: run turbo with `-vv` to see which; or the log contains LOCAL events only",
)

_UNKNOWN_SQL = f"""
SELECT remote_unknown + local_unknown AS unknown, {TEAM_LABEL} AS label, remote_unknown, remote, local_unknown, local
FROM (SELECT team, sum(remote_hits)::BIGINT AS remote, sum(remote_hits - timed_remote_hits)::BIGINT AS remote_unknown,
             sum(local_hits)::BIGINT AS local, sum(local_hits - timed_local_hits)::BIGINT AS local_unknown
      FROM {{parts}} GROUP BY team HAVING sum(local_hits + remote_hits) > 0)
"""
# With fewer than ten remote hits it remains open whether the server returns durations.
_NEVER_RETURNED = "remote >= 10 AND remote_unknown = remote"

UNKNOWN_DURATIONS = Finding(
    name="unknown_durations",
    section="time-saved",
    definition="a team with at least ten remote hits, none of which has a duration",
    read=read_teams,
    sql=f"{_UNKNOWN_SQL} WHERE {_NEVER_RETURNED} ORDER BY unknown DESC, label",
    what="{1}: {2:,} of {3:,} remote hits and {4:,} of {5:,} local hits have no duration; the time they saved is not"
    " counted",
    remedy="the cache server does not return x-artifact-duration (turborepo-remote-cache 2.12.0 does not), and local"
    " hits of artifacts from it have no duration either: update or replace the server",
)

PARTLY_UNKNOWN_DURATIONS = Finding(
    name="partly_unknown_durations",
    section="time-saved",
    definition="hits without a duration, of a team that has others with one, or too few remote hits to tell",
    read=read_teams,
    sql=f"{_UNKNOWN_SQL} WHERE unknown > 0 AND NOT ({_NEVER_RETURNED}) ORDER BY unknown DESC, label",
    what="{1}: {2:,} of {3:,} remote hits and {4:,} of {5:,} local hits have no duration",
    remedy="a server was changed, or one of several does not return x-artifact-duration: the duration coverage in"
    " `stats` by day and CI shows since when, and where",
)
