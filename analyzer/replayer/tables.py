"""A plan and an account as tables that describe themselves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from analyzer.replayer.pending import StateCounts
from analyzer.replayer.replay import Account, Plan
from analyzer.table import BYTES, COUNT, MS, RATIO, TEXT, TIME, Column, Table

PLANS_PER_MINUTE = (100, 10_000)
"""Requests a minute that the API allows on its free plan and on paid ones; live builds share them."""

FAIR_SHARE = 0.3
HOUR_MINUTES = 60
LARGEST_BODY = 0.9 * (1 << 20)

PLAN = (
    Column("api", TEXT, "the server"),
    Column("teams", TEXT, "the team that events go to, or how many"),
    Column("journal", TEXT, "what is known of earlier runs"),
    Column("selected", COUNT, "events selected, repeats left out"),
    Column("confirmed", COUNT, "delivered by earlier runs; not sent again"),
    Column("dead_lettered", COUNT, "refused by the server in earlier runs; not sent again"),
    Column("uncertain", COUNT, "sent by earlier runs without a clear answer; held"),
    Column("unsent", COUNT, "events to send"),
    Column("repeats_dropped", COUNT, "repeats of an event, such as a client's retry; --keep-repeats sends them"),
    Column("sessions_to_send", COUNT, "sessions of the events to send"),
    Column("chunks", COUNT, "chunks to send, a request each"),
    Column("requests", COUNT, "requests to send"),
    Column("bytes", BYTES, "bytes of all bodies to send"),
    Column("first_at", TIME, "time of the earliest event to send"),
    Column("last_at", TIME, "time of the latest event to send"),
    Column("takes_ms", MS, "time it takes at --requests-per-minute"),
    Column("share_of_100_a_minute", RATIO, "share of a quota of 100 requests a minute"),
    Column("share_of_10000_a_minute", RATIO, "share of a quota of 10,000 requests a minute"),
    Column("within_an_hour", TEXT, "settings that finish in an hour within 30 % of a quota"),
)

TEAMS = (
    Column("team", TEXT, "the team's slug, else its id"),
    Column("selected", COUNT, "events selected"),
    Column("confirmed", COUNT, "delivered by earlier runs"),
    Column("unsent", COUNT, "events to send"),
    Column("requests", COUNT, "requests to send"),
)

ACCOUNT = (
    Column("api", TEXT, "the server"),
    Column("teams", TEXT, "the team that events went to, or how many"),
    Column("journal", TEXT, "where it is kept what was sent"),
    Column("selected", COUNT, "events selected, repeats left out"),
    Column("confirmed", COUNT, "events the server took, in this run or before"),
    Column("dead_lettered", COUNT, "events the server refused"),
    Column("uncertain", COUNT, "events that may or may not have been taken; held"),
    Column("unsent", COUNT, "events still to send"),
    Column("confirmed_now", COUNT, "events the server took in this run"),
    Column("repeats_dropped", COUNT, "repeats of an event, not sent"),
    Column("requests", COUNT, "requests of this run"),
    Column("retries", COUNT, "requests that were sent again"),
    Column("bytes", BYTES, "bytes of this run's bodies"),
    Column("took_ms", MS, "time this run took"),
)


@dataclass(frozen=True, slots=True)
class Where:
    """Where a replay goes, in words."""

    api: str
    teams: str
    journal: str


def plan_table(plan: Plan, account: Account, where: Where, requests_per_minute: float, chunk_events: int) -> Table:
    """Return the table `plan`, one row."""
    takes_ms = plan.requests * 60_000 / requests_per_minute if requests_per_minute else None
    shares = [requests_per_minute / most if requests_per_minute and plan.events else None for most in PLANS_PER_MINUTE]
    row = (
        where.api, where.teams, where.journal, account.selected, account.confirmed, account.dead_lettered,
        account.uncertain, account.unsent, account.repeats_dropped, plan.sessions, plan.requests, plan.requests,
        plan.bytes, plan.first_at, plan.last_at, takes_ms, *shares,
        within_an_hour(plan, requests_per_minute, chunk_events),
    )  # fmt: skip
    return Table("plan", PLAN, [row], upright=True)


def teams_table(tallies: Mapping[str, StateCounts], plan: Plan) -> Table:
    """Return the table `by_team`, a row a team."""
    rows = [
        (team or None, tally.selected, tally.confirmed, tally.unsent, plan.requests_by_team[team])
        for team, tally in tallies.items()
    ]
    return Table("by_team", TEAMS, rows)


def within_an_hour(plan: Plan, requests_per_minute: float, chunk_events: int) -> str | None:
    """Return the settings that send a plan in an hour within 30 % of the least quota that allows it.

    Bodies stay under 1 MiB: where that takes more requests than the smaller quota has, the larger one is meant. Each
    context may have a last chunk that is not full.
    """
    if not plan.events:
        return None
    for most in PLANS_PER_MINUTE:
        rate = int(most * FAIR_SHARE)
        if 0 < requests_per_minute <= rate and plan.requests <= requests_per_minute * HOUR_MINUTES:
            return "as it is"
        full = rate * HOUR_MINUTES - plan.contexts
        if full <= 0:
            continue
        chunk = max(math.ceil(plan.events / full), chunk_events)
        if chunk * plan.bytes / plan.events <= LARGEST_BODY:
            return f"--chunk-size {chunk} --requests-per-minute {rate}"
    return None


def account_table(account: Account, where: Where) -> Table:
    """Return the table `replay`, one row."""
    values = asdict(account) | asdict(where) | {"took_ms": round(account.seconds * 1000)}
    return Table("replay", ACCOUNT, [tuple(values[heading.name] for heading in ACCOUNT)], upright=True)


DESTINATIONS = (
    Column("api", TEXT, "the server"),
    Column("team", TEXT, "the team as requests named it: slug, id, or both"),
    Column("confirmed", COUNT, "events delivered"),
    Column("dead_lettered", COUNT, "events the server refused"),
    Column("uncertain", COUNT, "events that may or may not have been taken"),
    Column("unsent", COUNT, "events that the last run to it left unsent, of its own selection"),
    Column("last_error", TEXT, "the last answer that was no success"),
)

UNDER_WAY = "its request is under way"

UNCERTAIN = (
    Column("chunk", COUNT, "its number, for `journal resolve --chunk`"),
    Column("team", TEXT, "the team it went to"),
    Column("events", COUNT, "events in it"),
    Column("sent_at", TIME, "when its request began"),
    Column("why", TEXT, "what is known of the answer"),
    Column("api", TEXT, "the server", detail=True),
)


def destinations_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `destinations`, a row each."""
    return Table("destinations", DESTINATIONS, rows)


def uncertain_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `uncertain`, a row a chunk."""
    shown = [
        (number, team, events, datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None),
         f"{status or ''} {words or UNDER_WAY}".strip(), api)
        for number, api, team, events, at_ms, status, words in rows
    ]  # fmt: skip
    return Table("uncertain", UNCERTAIN, shown)
