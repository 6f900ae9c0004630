"""`analyzer replay`."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli import console
from analyzer.cli.environment import DEFAULT_JOURNAL, default_journal, replay_settings
from analyzer.cli.exits import REPLAY_HELP, Exit
from analyzer.cli.files import require_unused
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, Target, output_options, write
from analyzer.cli.replay_options import Options, replay_options
from analyzer.cli.source import SourceOptions, exit_code, load_progress, open_source, source_options
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.archive.open_log import OpenLog
    from analyzer.archive.selection import Selection
    from analyzer.replayer.journal import Journal
    from analyzer.replayer.options import Stopped
    from analyzer.replayer.replay import Account, Executed, Replay
    from analyzer.replayer.settings import Settings
    from analyzer.replayer.tables import Where
    from analyzer.table import Table


@click.command("replay", cls=Command, epilog=f"{FILTERS_HELP} {REPLAY_HELP}")
@source_options()
@replay_options
@filter_options
@output_options
def command(
    inputs: SourceOptions, options: Options, selection: "Selection",
    output: OutputOptions,
) -> int:  # fmt: skip
    """Upload selected events to the API, and none of them twice.

    Shows the plan; --execute sends. What was sent is kept in a journal: run it again, after a kill or with another
    selection, and only what is not there yet is sent. The server stamps events with the time they arrive.

    \b
    Examples:
      analyzer replay sample_data --since 2026-09-01 --team web
      analyzer replay cache.duckdb --execute --dead-letters refused.ndjson
      analyzer replay cache.duckdb --execute --slug new-team --requests-per-minute 60
    """
    from analyzer.questions.notes import unknown_name_notes  # noqa: PLC0415
    from analyzer.replayer import runs  # noqa: PLC0415
    from analyzer.replayer.dead_letters import dead_letters_path  # noqa: PLC0415
    from analyzer.replayer.journal import Journal  # noqa: PLC0415
    from analyzer.replayer.journal_file import family  # noqa: PLC0415
    from analyzer.replayer.replay import Replay  # noqa: PLC0415
    from analyzer.replayer.settings import NO_TOKEN  # noqa: PLC0415
    from analyzer.replayer.validation import require_names, require_rate  # noqa: PLC0415

    path = options.journal or default_journal(inputs.sources)
    target = output.target(inputs, *family(path), dead_letters_path(path, options.dead_letters))
    if options.dead_letters:
        require_unused(options.dead_letters, inputs.includes, family(path))
    require_names({"as_ci": options.as_ci, "slug": options.slug, "team_id": options.team_id})
    require_rate("requests_per_minute", options.requests_per_minute)
    settings = replay_settings(options.api, options.token_file)
    if options.execute and not settings.token:
        raise UsageError(NO_TOKEN)
    is_new = not path.exists()
    with ExitStack() as stack:
        journal = (
            stack.enter_context(Journal(path, read_only=not options.execute)) if options.execute or not is_new else None
        )
        log = stack.enter_context(open_source(inputs, load_progress(), Purpose(selection.view, to_send=True)))
        for words in [*runs.said(log), *unknown_name_notes(log, selection)]:
            console.note(words)
        session = Replay(log.connection, _wanted(options, selection, settings), settings.api, journal)
        resend = options.on_uncertain == "resend"
        session.consult(execute=options.execute, resend=resend)
        where = _where(session, path, known=journal is not None)
        _tell_of_other_journals(path, inputs.sources)
        if is_new and path == DEFAULT_JOURNAL:
            console.note(
                f"{path} is new: nothing is known of what was sent from other directories; --journal names another"
            )
        if not options.execute or journal is None:
            _show_plan(session, log, where, options, target)
            return exit_code(log.load_result)
        code = _execute(session, log, journal, where, options, settings, target)
        return code or exit_code(log.load_result)


def _where(session: "Replay", path: Path, *, known: bool) -> "Where":
    from analyzer.replayer.tables import Where  # noqa: PLC0415

    teams = [team or "no team" for team in session.tallies]
    named = teams[0] if len(teams) == 1 else f"{len(teams)} teams"
    return Where(session.api, named, str(path) if known else f"{path} (new)")


def _tell_of_other_journals(path: Path, sources: Sequence[str]) -> None:
    """Say where other replays may have sent the same events: a journal knows only its own."""
    real, *named = [Path(os.path.realpath(one)) for one in (str(path), *sources) if one != "-"]
    places = {real.parent, Path.cwd(), *(one if one.is_dir() else one.parent for one in named)}
    others = sorted({str(one) for place in places for one in place.glob("*replay.sqlite")} - {str(real)})
    if others:
        console.note(f"{path} knows nothing of what went by {', '.join(others)}; --journal names another")


def _wanted(options: Options, selection: "Selection", settings: "Settings") -> Any:
    from analyzer.replayer.pending import ReplayRequest  # noqa: PLC0415
    from analyzer.replayer.teams import Overrides  # noqa: PLC0415

    overrides = Overrides(
        options.team_id, options.slug, options.as_ci, options.as_interactive, settings.team_id, settings.slug
    )
    return ReplayRequest(
        selection, overrides, options.limit, options.keep_repeats, options.chunk_size, options.max_bytes
    )


def _show_plan(session: "Replay", log: "OpenLog", where: "Where", options: Options, target: Target) -> None:
    from analyzer.replayer.tables import plan_table, teams_table  # noqa: PLC0415

    plan, account = session.plan(), session.account(None)
    tables = [plan_table(plan, account, where, options.requests_per_minute, options.chunk_size)]
    if len(session.tallies) > 1:
        tables.append(teams_table(session.tallies, plan))
    notes = ["nothing was sent: --execute sends; the server will stamp the events with the time they arrive, for good"]
    notes = [*session.said(), *notes]
    _report(log, session, account, tables, notes, target)


def _execute(
    session: "Replay", log: "OpenLog", journal: "Journal", where: "Where", options: Options, settings: "Settings",
    target: Target,
) -> Exit:  # fmt: skip
    from analyzer.cli.replay_progress import follow  # noqa: PLC0415
    from analyzer.replayer.options import Policy  # noqa: PLC0415
    from analyzer.replayer.replay import execute  # noqa: PLC0415
    from analyzer.replayer.tables import account_table  # noqa: PLC0415
    from analyzer.replayer.transport import Server  # noqa: PLC0415

    policy = Policy(
        requests_per_minute=options.requests_per_minute,
        concurrency=options.concurrency,
        retries=options.retries,
        retry_seconds=options.retry_for,
        max_requests=options.max_requests,
        max_seconds=options.max_duration,
        max_uncertain=options.max_uncertain,
        resend_uncertain=options.on_uncertain == "resend",
        preflight=options.preflight,
    )
    server = Server(settings.api, settings.token, options.ca_file)
    done = execute(session, journal, policy, server, options.dead_letters, follow)
    account = done.account
    elsewhere = session.queue.made.uncertain + session.queue.unsure
    notes = [*session.said(), *_notes(done, account.uncertain - elsewhere, journal)]
    _report(log, session, account, [account_table(account, where)], notes, target)
    left = account.unsent + (account.uncertain if session.resend else 0)
    return _ended(account, left, done.stopped)


def _ended(account: "Account", left: int, stopped: "Stopped | None") -> Exit:
    """Say why a run stopped, where it did, and return what it ends with."""
    from analyzer.replayer.options import Stop  # noqa: PLC0415

    if account.unsent and not stopped:
        console.error("events are left unsent without a reason, which is a bug in analyzer; run this again")
        return Exit.STOPPED
    if stopped and (left or stopped.stop is not Stop.LIMIT):
        tell = console.note if stopped.stop is Stop.LIMIT else console.error
        tell(stopped.words)
    by_stop = {Stop.INTERRUPTED: Exit.INTERRUPTED, Stop.FORBIDDEN: Exit.REFUSED}
    if stopped and (left or stopped.stop in by_stop):
        return by_stop.get(stopped.stop, Exit.STOPPED)
    if account.uncertain:
        return Exit.UNCERTAIN
    return Exit.DEAD_LETTERS if account.dead_lettered else Exit.OK


def _notes(done: "Executed", uncertain: int, journal: "Journal") -> list[str]:
    notes = [f"refused: {done.refused}; all that was refused is in {done.dead_letters}"] if done.refused else []
    if uncertain:
        notes.append(
            f"{uncertain:,} events may or may not have been taken, and are held: `analyzer journal status"
            f" --journal {journal.path}` lists them, `analyzer journal resolve` settles them"
        )
    return notes


def _report(
    log: "OpenLog", session: "Replay", account: "Account", tables: list["Table"], notes: list[str],
    target: Target,
) -> None:  # fmt: skip
    from dataclasses import asdict  # noqa: PLC0415

    from analyzer.questions.report import Report  # noqa: PLC0415
    from analyzer.questions.report import account_for as of_input  # noqa: PLC0415

    read = of_input(log.counts(), session.queue.kept)
    facts = {name: value if name != "seconds" else round(value, 3) for name, value in asdict(account).items()}
    write(Report("replay", read, tables, tables[0], notes, facts), target)
