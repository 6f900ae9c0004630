"""`analyzer replay`: shows the plan, or sends and shows the account."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import console
from analyzer.cli.exits import REPLAY_HELP, Exit
from analyzer.cli.files import require_unused
from analyzer.cli.filters import FILTERS_HELP, event_filter_options
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, Target, output_options, write
from analyzer.cli.replay_options import (
    DEFAULT_JOURNAL,
    ReplayArguments,
    default_journal,
    replay_options,
    replay_settings,
)
from analyzer.cli.source import SourceOptions, exit_code, open_source, source_options
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.archive.open_log import OpenLog
    from analyzer.archive.selection import Selection
    from analyzer.replayer.outcome_handling import Stopped
    from analyzer.replayer.replay import Account, Replay, RunResult
    from analyzer.table import Table

NO_TOKEN = "no token: set TURBO_TOKEN, name a file with --token-file, or log in with `turbo login`"  # noqa: S105


@click.command("replay", cls=Command, epilog=f"{FILTERS_HELP} {REPLAY_HELP}")
@source_options()
@replay_options
@event_filter_options
@output_options
def command(inputs: SourceOptions, arguments: ReplayArguments, selection: "Selection", output: OutputOptions) -> int:
    """Upload selected events to the API, each at most once.

    Shows the plan; --execute sends. A journal records what was sent: run it again, after a kill or with another
    selection, and only events that are not there yet are sent. The server stamps events with their time of arrival.
    Run summaries are not sent.

    \b
    Examples:
      analyzer replay sample_data --since 2026-09-01 --team web
      analyzer replay cache.duckdb --execute --dead-letters refused.ndjson
      analyzer replay cache.duckdb --execute --slug new-team --requests-per-minute 60
    """
    from analyzer.questions.notes import unknown_name_notes  # noqa: PLC0415
    from analyzer.replayer.dead_letters import dead_letters_path  # noqa: PLC0415
    from analyzer.replayer.journal import Journal  # noqa: PLC0415
    from analyzer.replayer.journal_file import journal_files  # noqa: PLC0415
    from analyzer.replayer.pending import ReplayRequest  # noqa: PLC0415
    from analyzer.replayer.replay import Replay, execute  # noqa: PLC0415
    from analyzer.replayer.settings import Server  # noqa: PLC0415
    from analyzer.replayer.tables import Endpoint, account_table, plan_table, teams_table  # noqa: PLC0415

    options, path = arguments.options, arguments.journal or default_journal(inputs.sources)
    target = output.target(inputs, *journal_files(path), dead_letters_path(path, arguments.dead_letters))
    if arguments.dead_letters:
        require_unused(arguments.dead_letters, inputs.includes, journal_files(path))
    settings = replay_settings(arguments.api, arguments.token_file)
    if options.execute and not settings.token:
        raise UsageError(NO_TOKEN)
    is_new = not path.exists()
    with ExitStack() as stack:
        opened = options.execute or not is_new
        journal = stack.enter_context(Journal(path, read_only=not options.execute)) if opened else None
        log = stack.enter_context(open_source(inputs, "events"))
        for note in unknown_name_notes(log, selection):
            console.note(note)
        replay = Replay(log.connection, ReplayRequest(selection, options, settings.team), settings.api, journal)
        teams = [team or "no team" for team in replay.states_by_team]
        journal_name = str(path) if journal else f"{path} (new)"
        endpoint = Endpoint(settings.api, teams[0] if len(teams) == 1 else f"{len(teams)} teams", journal_name)
        _note_other_journals(path, inputs.sources, is_new=is_new)
        if not options.execute or journal is None:
            plan, account = replay.plan(), replay.account(None)
            tables = [plan_table(plan, account, endpoint, options)]
            tables += [teams_table(replay.states_by_team, plan)] if len(teams) > 1 else []
            unsent = "nothing was sent: --execute sends; the server will stamp the events with their time of arrival"
            _write_report(log, replay, account, tables, [unsent], target)
            return exit_code(log.load_result)
        from analyzer.cli.replay_progress import follow  # noqa: PLC0415

        server = Server(settings.api, settings.token, arguments.ca_file)
        result = execute(replay, journal, server, arguments.dead_letters, follow)
        tables, notes = [account_table(result.account, endpoint)], _result_notes(replay, result, path)
        _write_report(log, replay, result.account, tables, notes, target)
        unfinished = result.account.unsent + (result.account.uncertain if options.resend else 0)
        return _finish(result.account, unfinished, result.stopped) or exit_code(log.load_result)


def _note_other_journals(path: Path, sources: Sequence[str], *, is_new: bool) -> None:
    """Name other journals nearby, by which the same events may have been sent: a journal knows only its own runs."""
    real, *named = [Path(os.path.realpath(one)) for one in (str(path), *sources) if one != "-"]
    places = {real.parent, Path.cwd(), *(one if one.is_dir() else one.parent for one in named)}
    others = sorted({str(one) for place in places for one in place.glob("*replay.sqlite")} - {str(real)})
    if others:
        console.note(f"{path} does not know what {', '.join(others)} recorded as sent; --journal names another")
    if is_new and path == DEFAULT_JOURNAL:
        console.note(f"{path} is new: it does not know what was sent from other directories; --journal names another")


def _result_notes(replay: "Replay", result: "RunResult", journal: Path) -> list[str]:
    notes = [f"refused: {result.refused}; all refused events are in {result.dead_letters}"] if result.refused else []
    uncertain = result.account.uncertain - replay.pending.unclear_events
    if uncertain:
        commands = f"`analyzer journal status --journal {journal}` lists them, `analyzer journal resolve` settles them"
        notes.append(f"{uncertain:,} events may or may not have been recorded, and are not sent again: {commands}")
    return notes


def _write_report(
    log: "OpenLog", replay: "Replay", account: "Account", tables: "list[Table]", notes: list[str], target: Target
) -> None:
    from analyzer.questions.report import Report, account_for  # noqa: PLC0415

    accounting = account_for(log.counts(), replay.pending.kept_events)
    facts = {name: value if name != "seconds" else round(value, 3) for name, value in asdict(account).items()}
    write(Report("replay", accounting, tables, tables[0], [*replay.notes(), *notes], facts), target)


def _finish(account: "Account", unfinished: int, stopped: "Stopped | None") -> Exit:
    """Write on stderr why a run stopped early, and return the exit code."""
    from analyzer.replayer.outcome_handling import Stop  # noqa: PLC0415

    if account.unsent and not stopped:
        console.error("events are left unsent without a reason, which is a bug in analyzer; run this again")
        return Exit.STOPPED
    if stopped and (unfinished or stopped.stop is not Stop.LIMIT):
        report = console.note if stopped.stop is Stop.LIMIT else console.error
        report(stopped.message)
    code_of_stop = {Stop.INTERRUPTED: Exit.INTERRUPTED, Stop.FORBIDDEN: Exit.REFUSED}
    if stopped and (unfinished or stopped.stop in code_of_stop):
        return code_of_stop.get(stopped.stop, Exit.STOPPED)
    if account.uncertain:
        return Exit.UNCERTAIN
    return Exit.DEAD_LETTERS if account.dead_lettered else Exit.OK
