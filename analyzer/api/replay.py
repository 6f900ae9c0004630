"""Uploads events from Python: returns the plan, or the account of a run."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

from analyzer.api.filters import Filters, require_sources, selection_of
from analyzer.archive.database import database_errors
from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.staging import ReadOptions
from analyzer.errors import Option, UsageError
from analyzer.questions.load import load_notes
from analyzer.questions.report import unknown_name_notes
from analyzer.replayer.journal import Journal
from analyzer.replayer.options import DEFAULTS, ReplayOptions
from analyzer.replayer.outcome import Counts
from analyzer.replayer.pending import ReplayRequest
from analyzer.replayer.replay import Account, Plan, Replay, require_events
from analyzer.replayer.replay import execute as run_replay
from analyzer.replayer.settings import Server, normalize_api, require_token_text


@dataclass(frozen=True, slots=True)
class Outcome:
    """The account of the selected events, with the plan, or with what stopped a run.

    `account` counts events: selected = confirmed + dead_lettered + uncertain + unsent, earlier runs included. `plan` is
    what a run would send, without `execute`. `stopped` says why a run ended with events unsent, `refused` is the first
    event that the server refused; the file `dead_letters` has all of them. `notes` say what is not sent, and why.
    """

    account: Account
    plan: Plan | None = None
    stopped: str | None = None
    refused: str | None = None
    dead_letters: Path | None = None
    notes: Sequence[str] = ()


@database_errors()
def replay(
    *sources: str | Path,
    api: str,
    token: str = "",
    journal: str | Path,
    execute: bool = False,
    team_id: str | None = None, slug: str | None = None,
    as_ci: str | None = None, as_interactive: bool | None = None,
    limit: int | None = None, keep_repeats: bool = False,
    chunk_size: int = DEFAULTS.chunk_size, max_bytes: int = DEFAULTS.max_bytes,
    requests_per_minute: float = DEFAULTS.requests_per_minute, concurrency: int = DEFAULTS.concurrency,
    retries: int = DEFAULTS.retries, retry_for: float = DEFAULTS.retry_for,
    max_requests: int | None = None, max_duration: float | None = None,
    max_uncertain: int = DEFAULTS.max_uncertain, on_uncertain: Literal["hold", "resend"] = "hold",
    preflight: bool = True,
    dead_letters: str | Path | None = None, ca_file: str | Path | None = None,
    **filters: Unpack[Filters],
) -> Outcome:  # fmt: skip
    """Upload selected events to the API in chunks, each at most once; without `execute`, only plan it.

    Only events that clients reported are sent, not run summaries. The server stamps events with their time of arrival,
    permanently. The journal records what was sent where: call this again, after a kill or with another selection, and
    only events that are not there yet are sent.

    Args:
        sources: logs, or one archive, as for `load`.
        api: the server's URL, such as `https://api.vercel.com`; nothing is read from the environment.
        token: its bearer token; needed to execute.
        journal: the file that records what was sent; created if it does not exist.
        execute: send the events.
        team_id: send to the team with this id, whatever the log says.
        slug: send to the team with this slug, whatever the log says.
        as_ci: send as from this CI, whatever the log says.
        as_interactive: send as (not) interactive, whatever the log says.
        limit: send only the first events of the selection.
        keep_repeats: send an event as often as a log has it.
        chunk_size: maximum number of events per request.
        max_bytes: maximum size of a request body.
        requests_per_minute: rate of requests; 0 means no limit.
        concurrency: number of simultaneous requests.
        retries: attempts after the first, for events that were certainly not recorded.
        retry_for: maximum time for these attempts, in seconds.
        max_requests: stop after this many requests.
        max_duration: stop after this many seconds.
        max_uncertain: stop after this many ambiguous answers in a row.
        on_uncertain: hold events that may have been recorded, or resend them, which may deliver them twice.
        preflight: ask the server first whether caching is enabled.
        dead_letters: the file for events that the server refuses; beside the journal by default.
        ca_file: certificate of a private authority, PEM.
        filters: see `Filters`.

    Raises:
        UsageError: a value that is out of bounds, no token to execute with, or no events but run summaries.
        InputError: a file that cannot be read.
        JournalError: the journal is in use, damaged, or cannot be written.
        AccountingError: the counts do not add up, which is a bug of this package.

    >>> plan = replay("sample_data", api="https://cache.example.com", journal="none.sqlite", team="web").plan
    >>> plan.requests >= plan.events / 100
    True
    """
    if execute and not token:
        raise UsageError(Option("token", token), ": needed to execute; nothing is read from the environment")
    options = ReplayOptions(
        execute=execute, limit=limit, keep_repeats=keep_repeats, team_id=team_id, slug=slug, as_ci=as_ci,
        as_interactive=as_interactive, chunk_size=chunk_size, max_bytes=max_bytes,
        requests_per_minute=requests_per_minute, concurrency=concurrency, retries=retries, retry_for=retry_for,
        max_requests=max_requests, max_duration=max_duration, max_uncertain=max_uncertain, on_uncertain=on_uncertain,
        preflight=preflight,
    )  # fmt: skip
    names = require_sources(sources, "replay(*paths, …)")
    dead_letters = Path(dead_letters) if dead_letters else None
    if dead_letters and any(os.path.realpath(dead_letters) == os.path.realpath(name) for name in names):
        raise UsageError(Option("dead_letters", str(dead_letters)), ": is read as a source; name another file")
    server = Server(normalize_api(api), require_token_text(token), Path(ca_file) if ca_file else None)
    request = ReplayRequest(selection_of(filters, "events"), options)
    with open_log(names, ReadOptions(), LoadObserver(), "events") as log:
        if log.load_result.errors:
            raise log.load_result.errors[0]
        require_events(log.connection)  # before the journal, which would stay behind empty
        with Journal(Path(journal), read_only=not execute) as opened_journal:
            run = Replay(log.connection, request, server.api, opened_journal)
            notes = [*load_notes(log), *unknown_name_notes(log, request.selection), *run.notes()]
            if not execute:
                return Outcome(run.account(Counts()), plan=run.plan(), notes=notes)
            account, stopped, letters = run_replay(run, server, dead_letters, lambda counts, *_: deque(counts, 0))
        reason, path = stopped.message if stopped else None, letters.path if letters.first else None
        return Outcome(account, None, reason, letters.first or None, path, notes)
