"""`analyzer replay`."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli import say
from analyzer.cli.exits import REPLAY_HELP, Exit
from analyzer.cli.files import require_apart
from analyzer.cli.filters import HELP, filter_options
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, Target, output_options, write
from analyzer.cli.place import DEFAULT_JOURNAL, journal_of, settings_of
from analyzer.cli.replay_options import Options, replay_options
from analyzer.cli.source import SourceOptions, code_of, open_source, progress, source_options
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.archive.opening import Opened
    from analyzer.archive.selection import Selection
    from analyzer.delivery.execution import Executed
    from analyzer.delivery.journal import Journal
    from analyzer.delivery.policy import Stopped
    from analyzer.delivery.session import Account, Session
    from analyzer.delivery.settings import Settings
    from analyzer.delivery.tables import Where
    from analyzer.table import Table


@click.command("replay", cls=Command, epilog=f"{HELP} {REPLAY_HELP}")
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
    from analyzer.archive.view import Purpose  # noqa: PLC0415
    from analyzer.delivery import runs  # noqa: PLC0415
    from analyzer.delivery.journal import Journal  # noqa: PLC0415
    from analyzer.delivery.journal_file import family  # noqa: PLC0415
    from analyzer.delivery.letters import letters_of  # noqa: PLC0415
    from analyzer.delivery.limits import require_names, require_rate  # noqa: PLC0415
    from analyzer.delivery.session import Session  # noqa: PLC0415
    from analyzer.delivery.settings import NO_TOKEN  # noqa: PLC0415
    from analyzer.report.caution import misnamed  # noqa: PLC0415

    path = options.journal or journal_of(inputs.sources)
    target = output.target(inputs, *family(path), letters_of(path, options.dead_letters))
    if options.dead_letters:
        require_apart(options.dead_letters, inputs, family(path))
    require_names({"as_ci": options.as_ci, "slug": options.slug, "team_id": options.team_id})
    require_rate("requests_per_minute", options.requests_per_minute)
    settings = settings_of(options.api, options.token_file)
    if options.execute and not settings.token:
        raise UsageError(NO_TOKEN)
    is_new = not path.exists()
    with ExitStack() as stack:
        journal = (
            stack.enter_context(Journal(path, read_only=not options.execute)) if options.execute or not is_new else None
        )
        opened = stack.enter_context(open_source(inputs, progress(), Purpose(selection.view, to_send=True)))
        for words in [*runs.said(opened), *misnamed(opened, selection)]:
            say.note(words)
        session = Session(opened.connection, _wanted(options, selection, settings), settings.api, journal)
        resend = options.on_uncertain == "resend"
        session.consult(execute=options.execute, resend=resend)
        where = _where(session, path, known=journal is not None)
        _tell_of_other_journals(path, inputs.sources)
        if is_new and path == DEFAULT_JOURNAL:
            say.note(
                f"{path} is new: nothing is known of what was sent from other directories; --journal names another"
            )
        if not options.execute or journal is None:
            _show_plan(session, opened, where, options, target)
            return code_of(opened.intake)
        code = _execute(session, opened, journal, where, options, settings, target)
        return code or code_of(opened.intake)


def _where(session: "Session", path: Path, *, known: bool) -> "Where":
    from analyzer.delivery.tables import Where  # noqa: PLC0415

    teams = [team or "no team" for team in session.tallies]
    named = teams[0] if len(teams) == 1 else f"{len(teams)} teams"
    return Where(session.api, named, str(path) if known else f"{path} (new)")


def _tell_of_other_journals(path: Path, sources: Sequence[str]) -> None:
    """Say where other replays may have sent the same events: a journal knows only its own."""
    real, *named = [Path(os.path.realpath(one)) for one in (str(path), *sources) if one != "-"]
    places = {real.parent, Path.cwd(), *(one if one.is_dir() else one.parent for one in named)}
    others = sorted({str(one) for place in places for one in place.glob("*replay.sqlite")} - {str(real)})
    if others:
        say.note(f"{path} knows nothing of what went by {', '.join(others)}; --journal names another")


def _wanted(options: Options, selection: "Selection", settings: "Settings") -> Any:
    from analyzer.delivery.queue import Wanted  # noqa: PLC0415
    from analyzer.delivery.target import Overrides  # noqa: PLC0415

    overrides = Overrides(
        options.team_id, options.slug, options.as_ci, options.as_interactive, settings.team_id, settings.slug
    )
    return Wanted(selection, overrides, options.limit, options.keep_repeats, options.chunk_size, options.max_bytes)


def _show_plan(session: "Session", opened: "Opened", where: "Where", options: Options, target: Target) -> None:
    from analyzer.delivery.tables import plan_table, teams_table  # noqa: PLC0415

    plan, account = session.plan(), session.account(None)
    tables = [plan_table(plan, account, where, options.requests_per_minute, options.chunk_size)]
    if len(session.tallies) > 1:
        tables.append(teams_table(session.tallies, plan))
    notes = ["nothing was sent: --execute sends; the server will stamp the events with the time they arrive, for good"]
    notes = [*session.said(), *notes]
    _report(opened, session, account, tables, notes, target)


def _execute(
    session: "Session", opened: "Opened", journal: "Journal", where: "Where", options: Options, settings: "Settings",
    target: Target,
) -> Exit:  # fmt: skip
    from analyzer.cli.sending import follow  # noqa: PLC0415
    from analyzer.delivery.execution import execute  # noqa: PLC0415
    from analyzer.delivery.policy import Policy  # noqa: PLC0415
    from analyzer.delivery.tables import account_table  # noqa: PLC0415
    from analyzer.delivery.transport import Server  # noqa: PLC0415

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
    _report(opened, session, account, [account_table(account, where)], notes, target)
    left = account.unsent + (account.uncertain if session.resend else 0)
    return _ended(account, left, done.stopped)


def _ended(account: "Account", left: int, stopped: "Stopped | None") -> Exit:
    """Say why a run stopped, where it did, and return what it ends with."""
    from analyzer.delivery.policy import Stop  # noqa: PLC0415

    if account.unsent and not stopped:
        say.error("events are left unsent without a reason, which is a bug in analyzer; run this again")
        return Exit.STOPPED
    if stopped and (left or stopped.stop is not Stop.LIMIT):
        tell = say.note if stopped.stop is Stop.LIMIT else say.error
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
    opened: "Opened", session: "Session", account: "Account", tables: list["Table"], notes: list[str],
    target: Target,
) -> None:  # fmt: skip
    from dataclasses import asdict  # noqa: PLC0415

    from analyzer.report.report import Report  # noqa: PLC0415
    from analyzer.report.report import account as of_input  # noqa: PLC0415

    read = of_input(opened.counts(), session.queue.kept)
    facts = {name: value if name != "seconds" else round(value, 3) for name, value in asdict(account).items()}
    write(Report("replay", read, tables, tables[0], notes, facts), target)
