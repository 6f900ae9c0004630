"""A plan and an account as tables that describe themselves."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from analyzer.replay.session import Account, Plan
from analyzer.table import BYTES, COUNT, MS, RATIO, TEXT, TIME, Heading, Table

PLANS_PER_MINUTE = (100, 10_000)
"""Requests a minute that the API allows on its free plan and on paid ones; live builds share them."""

FAIR_SHARE = 0.3
HOUR_MINUTES = 60

PLAN = (
    Heading("destination", TEXT, "the API and the teams that events go to"),
    Heading("selected", COUNT, "events selected, repeats left out"),
    Heading("repeats_dropped", COUNT, "repeats of an event, such as a client's retry; --keep-repeats sends them"),
    Heading("confirmed", COUNT, "delivered by earlier runs; not sent again"),
    Heading("dead_lettered", COUNT, "refused by the server in earlier runs; not sent again"),
    Heading("uncertain", COUNT, "sent by earlier runs without a clear answer; held"),
    Heading("unsent", COUNT, "events to send"),
    Heading("sessions", COUNT, "sessions they are of"),
    Heading("chunks", COUNT, "chunks, a request each"),
    Heading("bytes", BYTES, "bytes of all bodies"),
    Heading("first_at", TIME, "time of the earliest event"),
    Heading("last_at", TIME, "time of the latest event"),
    Heading("takes_ms", MS, "time it takes at --requests-per-minute"),
    Heading("of_100_a_minute", RATIO, "share of a quota of 100 requests a minute"),
    Heading("of_10000_a_minute", RATIO, "share of a quota of 10,000 requests a minute"),
    Heading("in_an_hour", TEXT, "settings that finish in an hour within 30 % of a quota"),
)

ACCOUNT = (
    Heading("selected", COUNT, "events selected, repeats left out"),
    Heading("confirmed", COUNT, "events the server took, in this run or before"),
    Heading("dead_lettered", COUNT, "events the server refused"),
    Heading("uncertain", COUNT, "events that may or may not have been taken; held"),
    Heading("unsent", COUNT, "events still to send"),
    Heading("confirmed_now", COUNT, "events the server took in this run"),
    Heading("repeats_dropped", COUNT, "repeats of an event, not sent"),
    Heading("requests", COUNT, "requests of this run"),
    Heading("retries", COUNT, "requests that were sent again"),
    Heading("bytes", BYTES, "bytes of this run's bodies"),
    Heading("took_ms", MS, "time this run took"),
)


def plan_table(plan: Plan, account: Account, destination: str, requests_per_minute: float) -> Table:
    """Return the table `plan`, one row."""
    rate = requests_per_minute or None
    row = (
        destination, account.selected, account.repeats_dropped, account.confirmed, account.dead_lettered,
        account.uncertain, account.unsent, plan.sessions, plan.requests, plan.bytes, plan.first_at, plan.last_at,
        None if rate is None else plan.requests * 60_000 / rate,
        *(None if rate is None else rate / most for most in PLANS_PER_MINUTE),
        in_an_hour(plan),
    )  # fmt: skip
    return Table("plan", PLAN, [row], upright=True)


def in_an_hour(plan: Plan) -> str | None:
    """Return the settings that send a plan in an hour within 30 % of the least quota that allows it.

    Bodies stay under 1 MiB: where that takes more requests than the smaller quota has, the larger one is meant.
    """
    if not plan.events:
        return None
    largest_chunk = max(1, int((1 << 20) / (plan.bytes / plan.events) * 0.9))
    for most in PLANS_PER_MINUTE:
        rate = int(most * FAIR_SHARE)
        chunk = math.ceil(plan.events / (rate * HOUR_MINUTES))
        if chunk <= largest_chunk:
            return f"--chunk-size {max(chunk, 1)} --requests-per-minute {rate}"
    return None


def account_table(account: Account) -> Table:
    """Return the table `replay`, one row."""
    values = asdict(account) | {"took_ms": account.seconds * 1000}
    return Table("replay", ACCOUNT, [tuple(values[heading.name] for heading in ACCOUNT)], upright=True)


DESTINATIONS = (
    Heading("api", TEXT, "the server"),
    Heading("team", TEXT, "the team's slug, else its id"),
    Heading("confirmed", COUNT, "events delivered"),
    Heading("dead_lettered", COUNT, "events the server refused"),
    Heading("uncertain", COUNT, "events that may or may not have been taken"),
    Heading("unsent", COUNT, "events of its selection that the last run left unsent"),
    Heading("last_error", TEXT, "the last answer that was no success"),
)

UNCERTAIN = (
    Heading("chunk", COUNT, "its number, for `journal resolve --chunk`"),
    Heading("team", TEXT, "the team it went to"),
    Heading("events", COUNT, "events in it"),
    Heading("sent_at", TIME, "when its request began"),
    Heading("why", TEXT, "what is known of the answer"),
    Heading("api", TEXT, "the server", detail=True),
)


def destinations_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `destinations`, a row each."""
    return Table("destinations", DESTINATIONS, [(*row[:5], row[6], row[7]) for row in rows])


def uncertain_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return the table `uncertain`, a row a chunk."""
    shown = [
        (number, team, events, datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None),
         f"{status or ''} {words}".strip(), api)
        for number, api, team, events, at_ms, status, words in rows
    ]  # fmt: skip
    return Table("uncertain", UNCERTAIN, shown)
