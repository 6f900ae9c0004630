"""Builds the self-describing tables of a plan, an account and a journal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from analyzer.table import BYTES, COUNT, MS, RATIO, TEXT, TIME, Column, Table

if TYPE_CHECKING:
    from analyzer.replayer.options import ReplayOptions
    from analyzer.replayer.pending import StateCounts
    from analyzer.replayer.replay import Account, Plan

QUOTAS_PER_MINUTE = (100, 10_000)
"""Requests a minute that the API allows on its free plan and on paid ones; live builds share this quota."""

FAIR_SHARE = 0.3
MAX_PROPOSED_BYTES = 0.9 * (1 << 20)

PLAN = (
    Column("api", TEXT, "the server"),
    Column("teams", TEXT, "the team that events go to, or the number of teams"),
    Column("journal", TEXT, "the journal that knows what earlier runs sent"),
    Column("selected", COUNT, "events selected, without repeats"),
    Column("confirmed", COUNT, "events delivered by earlier runs; not sent again"),
    Column("dead_lettered", COUNT, "events the server refused in earlier runs; not sent again"),
    Column("uncertain", COUNT, "events sent by earlier runs without a clear answer; not sent again"),
    Column("unsent", COUNT, "events to send"),
    Column("repeats_dropped", COUNT, "repeats of an event, such as a client's retry; not sent"),
    Column("sessions_to_send", COUNT, "sessions of the events to send"),
    Column("chunks", COUNT, "chunks to send, one per request"),
    Column("requests", COUNT, "requests to send"),
    Column("bytes", BYTES, "bytes of all request bodies"),
    Column("first_at", TIME, "time of the earliest event to send"),
    Column("last_at", TIME, "time of the latest event to send"),
    Column("takes_ms", MS, "duration of the run at its rate of requests"),
    Column("share_of_100_a_minute", RATIO, "share of a quota of 100 requests a minute"),
    Column("share_of_10000_a_minute", RATIO, "share of a quota of 10,000 requests a minute"),
    Column("within_an_hour", TEXT, "settings that finish in an hour and use at most 30 % of a quota"),
)

TEAMS = (
    Column("team", TEXT, "the team's slug, else its id"),
    Column("selected", COUNT, "events selected"),
    Column("confirmed", COUNT, "events delivered by earlier runs"),
    Column("unsent", COUNT, "events to send"),
    Column("requests", COUNT, "requests to send"),
)

ACCOUNT = (
    Column("api", TEXT, "the server"),
    Column("teams", TEXT, "the team that events went to, or the number of teams"),
    Column("journal", TEXT, "the journal that records what was sent"),
    Column("selected", COUNT, "events selected, without repeats"),
    Column("confirmed", COUNT, "events delivered, by this run or earlier ones"),
    Column("dead_lettered", COUNT, "events the server refused"),
    Column("uncertain", COUNT, "events that may or may not have been delivered; not sent again"),
    Column("unsent", COUNT, "events still to send"),
    Column("confirmed_now", COUNT, "events delivered by this run"),
    Column("repeats_dropped", COUNT, "repeats of an event, not sent"),
    Column("requests", COUNT, "requests of this run"),
    Column("retries", COUNT, "requests of this run that were repeated"),
    Column("bytes", BYTES, "bytes of this run's request bodies"),
    Column("took_ms", MS, "duration of this run"),
)

DESTINATIONS = (
    Column("api", TEXT, "the server"),
    Column("team", TEXT, "the team as requests name it: slug, id, or both"),
    Column("confirmed", COUNT, "events delivered"),
    Column("dead_lettered", COUNT, "events the server refused"),
    Column("uncertain", COUNT, "events that may or may not have been delivered"),
    Column("unsent", COUNT, "events of its selection that the last run left unsent"),
    Column("last_error", TEXT, "the last answer that was not a success"),
)

UNCERTAIN_CHUNKS = (
    Column("chunk", COUNT, "the chunk's number, by which it can be resolved"),
    Column("team", TEXT, "the team it went to"),
    Column("events", COUNT, "events in it"),
    Column("sent_at", TIME, "start of its request"),
    Column("why", TEXT, "what is known about the answer"),
    Column("api", TEXT, "the server", detail=True),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a replay sends, as text: the server, the team or number of teams, and the journal."""

    api: str
    teams: str
    journal: str


def plan_table(plan: "Plan", account: "Account", endpoint: Endpoint, options: "ReplayOptions") -> Table:
    """Return the table `plan`, one row."""
    rate = options.requests_per_minute
    shares = [rate / quota if rate and plan.events else None for quota in QUOTAS_PER_MINUTE]
    values = asdict(endpoint) | asdict(account) | asdict(plan) | {
        "sessions_to_send": plan.sessions,
        "chunks": plan.requests,
        "takes_ms": plan.requests * 60_000 / rate if rate else None,
        "share_of_100_a_minute": shares[0],
        "share_of_10000_a_minute": shares[1],
        "within_an_hour": within_an_hour(plan, rate, options.chunk_size),
    }  # fmt: skip
    return _one_row("plan", PLAN, values)


def account_table(account: "Account", endpoint: Endpoint) -> Table:
    """Return the table `replay`, one row."""
    return _one_row("replay", ACCOUNT, asdict(account) | asdict(endpoint) | {"took_ms": round(account.seconds * 1000)})


def _one_row(name: str, columns: Sequence[Column], values: Mapping[str, Any]) -> Table:
    return Table(name, columns, [tuple(values[column.name] for column in columns)], upright=True)


def teams_table(states_by_team: "Mapping[str, StateCounts]", plan: "Plan") -> Table:
    """Return the table `by_team`, a row per team."""
    rows = [
        (team or None, states.selected, states.confirmed, states.unsent, plan.requests_by_team[team])
        for team, states in states_by_team.items()
    ]
    return Table("by_team", TEAMS, rows)


def within_an_hour(plan: "Plan", requests_per_minute: float, chunk_size: int) -> str | None:
    """Return settings that send a plan in an hour and use at most 30 % of the smallest quota that allows it.

    Bodies stay under 1 MiB: where that takes more requests than a quota has, the next larger quota counts.
    """
    if not plan.events:
        return None
    for quota in QUOTAS_PER_MINUTE:
        rate = int(quota * FAIR_SHARE)
        if 0 < requests_per_minute <= rate and plan.requests <= requests_per_minute * 60:
            return "no change needed"
        full_chunks = rate * 60 - plan.contexts  # the last chunk of each context may not be full
        if full_chunks <= 0:
            continue
        proposed = max(math.ceil(plan.events / full_chunks), chunk_size)
        if proposed * plan.bytes / plan.events <= MAX_PROPOSED_BYTES:
            return f"chunks of {proposed} events, {rate} requests per minute"
    return None


def destinations_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `destinations` from the rows of `Journal.summary`."""
    return Table("destinations", DESTINATIONS, rows)


def uncertain_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `uncertain` from the rows of `Journal.uncertain_chunks`."""
    found = [
        (chunk_id, team, events, datetime.fromtimestamp(sent_at_ms / 1000, UTC).replace(tzinfo=None),
         f"{status or ''} {message or 'its request is in progress'}".strip(), api)
        for chunk_id, api, team, events, sent_at_ms, status, message in rows
    ]  # fmt: skip
    return Table("uncertain", UNCERTAIN_CHUNKS, found)
