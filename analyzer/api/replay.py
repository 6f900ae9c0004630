"""Upload of events from Python: the plan, or what a run came to."""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

from analyzer.api.filters import Filters, require_sources, selection_of
from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.read_options import ReadOptions
from analyzer.archive.view import VIEWS, View
from analyzer.errors import Option, UsageError
from analyzer.questions.notes import load_notes as of_input
from analyzer.questions.notes import unknown_name_notes
from analyzer.replayer import runs
from analyzer.replayer.journal import Journal
from analyzer.replayer.options import CHUNK_EVENTS, DEFAULT_POLICY, MAX_BYTES, MAX_CONCURRENCY, Policy
from analyzer.replayer.pending import ReplayRequest
from analyzer.replayer.replay import Account, Plan, Replay
from analyzer.replayer.replay import execute as run
from analyzer.replayer.sender import Sender
from analyzer.replayer.settings import address, clean
from analyzer.replayer.teams import Overrides
from analyzer.replayer.transport import Server
from analyzer.replayer.validation import require_counts, require_names, require_rate
from analyzer.validation import require_choice, require_count, require_number


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the selected events stand, and the plan or the run that says so.

    `account` counts events: selected = confirmed + dead_lettered + uncertain + unsent, earlier runs included. `plan` is
    what a run would send, without `execute`. `stopped` says why a run ended with events unsent, `refused` names the
    first event that the server refused; the file `dead_letters` has all of them. `notes` say what is not sent, and why.
    """

    account: Account
    plan: Plan | None = None
    stopped: str | None = None
    refused: str | None = None
    dead_letters: Path | None = None
    notes: Sequence[str] = ()


def replay(
    *sources: str | Path,
    api: str,
    token: str = "",
    journal: str | Path,
    execute: bool = False,
    team_id: str | None = None,
    slug: str | None = None,
    as_ci: str | None = None,
    as_interactive: bool | None = None,
    limit: int | None = None,
    keep_repeats: bool = False,
    chunk_size: int = CHUNK_EVENTS,
    max_bytes: int = MAX_BYTES,
    requests_per_minute: float = DEFAULT_POLICY.requests_per_minute,
    concurrency: int = DEFAULT_POLICY.concurrency,
    retries: int = DEFAULT_POLICY.retries,
    retry_for: float = DEFAULT_POLICY.retry_seconds,
    max_requests: int | None = None,
    max_duration: float | None = None,
    max_uncertain: int = DEFAULT_POLICY.max_uncertain,
    on_uncertain: Literal["hold", "resend"] = "hold",
    preflight: bool = True,
    dead_letters: str | Path | None = None,
    ca_file: str | Path | None = None,
    view: View = "auto",
    **filters: Unpack[Filters],
) -> Outcome:
    """Upload selected events to the API, in chunks, and none of them twice; without `execute`, only plan it.

    The server stamps events with the time they arrive, for good. The journal knows what was sent where: call this
    again, after a kill or with another selection, and only what is not there yet is sent.

    Args:
        sources: logs, or one archive, as for `load`.
        api: the server, such as `https://api.vercel.com`; nothing is read from the environment.
        token: its bearer token; needed to execute.
        journal: the file that keeps what was sent; made where there is none.
        execute: send.
        team_id: send to this team, whatever the log says; `slug`, `as_ci`, `as_interactive` alike.
        slug: the same, by the team's slug.
        as_ci: send as from this CI.
        as_interactive: send as (not) interactive.
        limit: only the first so many events of the selection.
        keep_repeats: send an event as often as a log has it.
        chunk_size: most events a request.
        max_bytes: most bytes a body.
        requests_per_minute: how often a request starts; 0 is no limit.
        concurrency: requests at a time.
        retries: attempts after the first, where events were surely not taken.
        retry_for: longest time for these, in seconds.
        max_requests: stop after so many.
        max_duration: stop after so many seconds.
        max_uncertain: stop after so many unclear answers in a row.
        on_uncertain: what to do where it is not known whether events were taken; `resend` may deliver them twice.
        preflight: ask the server first whether caching is on.
        dead_letters: the file for events that the server refuses; beside the journal by default.
        ca_file: certificate of a private authority, PEM.
        view: as for `load`.
        filters: see `Filters`.

    Raises:
        UsageError: values that cannot be meant, or no token to execute with.
        InputError: a file that cannot be read.
        JournalError: the journal is in use, damaged, or cannot be written.
        AccountingError: the counts do not add up, which is a bug of this package.

    >>> plan = replay("sample_data", api="https://cache.example.com", journal="none.sqlite", team="web").plan
    >>> plan.requests >= plan.events / 100
    True
    """
    if execute and not token:
        raise UsageError(Option("token", token), ": needed to execute; nothing is read from the environment")
    require_names({"as_ci": as_ci, "slug": slug, "team_id": team_id})
    require_rate("requests_per_minute", requests_per_minute)
    require_count("limit", limit)
    counts = {"chunk_size": chunk_size, "max_bytes": max_bytes}
    require_counts(counts | {"max_requests": max_requests, "max_uncertain": max_uncertain})
    require_number("concurrency", concurrency, minimum=1, maximum=MAX_CONCURRENCY)
    require_choice("view", view, VIEWS)
    require_choice("on_uncertain", on_uncertain, ("hold", "resend"))
    for name, value in (("retries", retries), ("retry_for", retry_for), ("max_duration", max_duration)):
        require_number(name, value)
    names = require_sources(sources, "replay(*paths, …)")
    letters = Path(dead_letters) if dead_letters else None
    if letters and any(os.path.realpath(letters) == os.path.realpath(name) for name in names):
        raise UsageError(Option("dead_letters", str(letters)), ": is read as a source; name another file")
    server, path = Server(address(api), clean(token), Path(ca_file) if ca_file else None), Path(journal)
    overrides = Overrides(team_id, slug, as_ci, as_interactive)
    wanted = ReplayRequest(selection_of(filters, view), overrides, limit, keep_repeats, chunk_size, max_bytes)
    policy = Policy(
        requests_per_minute=requests_per_minute,
        concurrency=concurrency,
        retries=retries,
        retry_seconds=retry_for,
        max_requests=max_requests,
        max_seconds=max_duration,
        max_uncertain=max_uncertain,
        resend_uncertain=on_uncertain == "resend",
        preflight=preflight,
    )
    with ExitStack() as stack:
        known = stack.enter_context(Journal(path, read_only=not execute)) if execute or path.exists() else None
        found = stack.enter_context(open_log(names, ReadOptions(), LoadObserver(), view))
        if found.load_result.errors:
            raise found.load_result.errors[0]
        session = Replay(found.connection, wanted, server.api, known)
        said = [*of_input(found), *runs.said(found), *unknown_name_notes(found, wanted.selection)]
        session.consult(execute=execute, resend=on_uncertain == "resend")
        if not execute or known is None:
            return Outcome(session.account(None), plan=session.plan(), notes=[*said, *session.said()])
        done = run(session, known, policy, server, letters, _follow)
        words = done.stopped.words if done.stopped else None
        letters = done.dead_letters if done.refused else None
        return Outcome(done.account, None, words, done.refused or None, letters, [*said, *session.said()])


def _follow(session: Replay, sender: Sender) -> None:
    """Let a run go to its end."""
    deque(session.run(sender), maxlen=0)
