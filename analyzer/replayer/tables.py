"""Builds the self-describing tables of a plan, an account and a journal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.pending import StateCounts
from analyzer.replayer.replay import Account, Plan
from analyzer.table import BYTES, COUNT, MS, RATIO, TEXT, TIME, Column, Table

# Requests a minute that the API allows on its free plan and on paid ones; live builds share this quota.
QUOTAS_PER_MINUTE = (100, 10_000)
FAIR_SHARE = 0.3
MAX_PROPOSED_BYTES = 0.9 * (1 << 20)

API = Column("api", TEXT, "the server")
TEAMS = Column("teams", TEXT, "the team that events go to, or the number of teams")
JOURNAL = Column("journal", TEXT, "the journal that records what was sent")
SELECTED = Column("selected", COUNT, "events selected, without repeats")
REPEATS = Column("repeats_dropped", COUNT, "repeats of an event, such as a client's retry; not sent")

PLAN = (
    API, TEAMS, JOURNAL, SELECTED,
    Column("confirmed", COUNT, "events delivered by earlier runs; not sent again"),
    Column("dead_lettered", COUNT, "events the server refused in earlier runs; not sent again"),
    Column("uncertain", COUNT, "events sent by earlier runs without a clear answer; not sent again"),
    Column("unsent", COUNT, "events to send"),
    REPEATS,
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
)  # fmt: skip

BY_TEAM = (
    Column("team", TEXT, "the team's slug, else its id"),
    SELECTED,
    Column("confirmed", COUNT, "events delivered by earlier runs"),
    Column("unsent", COUNT, "events to send"),
    Column("requests", COUNT, "requests to send"),
)

ACCOUNT = (
    API, TEAMS, JOURNAL, SELECTED,
    Column("confirmed", COUNT, "events delivered, by this run or earlier ones"),
    Column("dead_lettered", COUNT, "events the server refused"),
    Column("uncertain", COUNT, "events that may or may not have been delivered; not sent again"),
    Column("unsent", COUNT, "events still to send"),
    Column("confirmed_now", COUNT, "events delivered by this run"),
    REPEATS,
    Column("requests", COUNT, "requests of this run"),
    Column("retries", COUNT, "requests of this run that were repeated"),
    Column("bytes", BYTES, "bytes of this run's request bodies"),
    Column("took_ms", MS, "duration of this run"),
)  # fmt: skip

DESTINATIONS = (  # the columns of Journal.summary
    API,
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
    replace(API, detail=True),
)


def plan_table(plan: Plan, account: Account, endpoint: Mapping[str, str], options: ReplayOptions) -> Table:
    """Return the table `plan`, one row; `endpoint` has the values of the columns api, teams and journal."""
    rate = options.requests_per_minute
    shares = [rate / quota if rate and plan.events else None for quota in QUOTAS_PER_MINUTE]
    values = asdict(account) | asdict(plan) | {
        "sessions_to_send": plan.sessions, "chunks": plan.requests,
        "takes_ms": plan.requests * 60_000 / rate if rate else None,
        "share_of_100_a_minute": shares[0], "share_of_10000_a_minute": shares[1],
        "within_an_hour": within_an_hour(plan, rate, options.chunk_size),
    }  # fmt: skip
    return Table.from_records("plan", PLAN, [{**values, **endpoint}], upright=True)


def account_table(account: Account, endpoint: Mapping[str, str]) -> Table:
    """Return the table `replay`, one row; `endpoint` as for `plan_table`."""
    values = asdict(account) | {"took_ms": round(account.seconds * 1000), **endpoint}
    return Table.from_records("replay", ACCOUNT, [values], upright=True)


def teams_table(states_by_team: Mapping[str, StateCounts], plan: Plan) -> Table:
    """Return the table `by_team`, a row per team."""
    rows = [
        (team or None, states.selected, states.confirmed, states.unsent, plan.requests_by_team[team])
        for team, states in states_by_team.items()
    ]
    return Table("by_team", BY_TEAM, rows)


def within_an_hour(plan: Plan, requests_per_minute: float, chunk_size: int) -> str | None:
    """Return settings that send a plan in an hour and use at most 30 % of the smallest quota that allows it."""
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
        if proposed * plan.bytes / plan.events <= MAX_PROPOSED_BYTES:  # else the next larger quota counts
            return f"chunks of {proposed} events, {rate} requests per minute"
    return None


def uncertain_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `uncertain` from the rows of `Journal.uncertain_chunks`."""
    chunks = [
        (chunk_id, team, events, datetime.fromtimestamp(sent_at_ms / 1000, UTC).replace(tzinfo=None),
         f"{status or ''} {message or 'its request is in progress'}".strip(), api)
        for chunk_id, api, team, events, sent_at_ms, status, message in rows
    ]  # fmt: skip
    return Table("uncertain", UNCERTAIN_CHUNKS, chunks)


VERIFICATION = (
    JOURNAL,
    Column("faults", COUNT, "faults of the journal; 0 if it is sound"),
    Column("confirmed", COUNT, "events delivered, to all destinations"),
    Column("dead_lettered", COUNT, "events the server refused"),
    Column("uncertain", COUNT, "events that may or may not have been delivered"),
)


def verification_table(path: Path, faults: Sequence[str], destinations: Sequence[Sequence[Any]]) -> Table:
    """Return the table `journal`: whether the journal, with this summary of `destinations`, is sound."""
    states = [sum(row[place] for row in destinations) for place in (2, 3, 4)]
    return Table("journal", VERIFICATION, [(str(path), len(faults), *states)], upright=True)


SELECTION = (
    API, SELECTED,
    Column("confirmed", COUNT, "selected events that were delivered"),
    Column("dead_lettered", COUNT, "selected events that the server refused"),
    Column("uncertain", COUNT, "selected events that may or may not have been delivered"),
    Column("unsent", COUNT, "selected events that were never sent"),
    Column("others", COUNT, "events sent to the server that SOURCE and the filters do not select"),
)  # fmt: skip


def selection_table(api: str, states: StateCounts, others: int) -> Table:
    """Return the table `selection`: the selected events by their state in the journal."""
    counts = (states.selected, states.confirmed, states.dead_lettered, states.uncertain, states.unsent)
    return Table("selection", SELECTION, [(api, *counts, others)], upright=True)
