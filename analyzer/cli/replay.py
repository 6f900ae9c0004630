"""`analyzer replay`: shows the plan, or sends events, shows the progress on stderr, and then the account."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.archive.selection import Selection
from analyzer.cli import console
from analyzer.cli.console import Exit, exit_help
from analyzer.cli.files import require_unused
from analyzer.cli.filters import FILTERS_HELP, event_filter_options
from analyzer.cli.options import Command, Seconds, option_group, titled_option
from analyzer.cli.output import OutputOptions, Target, output_options, write
from analyzer.cli.source import SourceOptions, exit_code, open_source, source_options
from analyzer.errors import UsageError
from analyzer.readers.source import is_archive
from analyzer.replayer import settings
from analyzer.replayer.dead_letters import DeadLetters, dead_letters_path
from analyzer.replayer.journal import Journal
from analyzer.replayer.journal_file import journal_files
from analyzer.replayer.options import DEFAULTS, ON_UNCERTAIN, ReplayOptions
from analyzer.replayer.outcome import Counts, Stopped, StopReason
from analyzer.replayer.pending import ReplayRequest
from analyzer.replayer.replay import Account, Replay, execute, require_events
from analyzer.replayer.sender import Sender
from analyzer.replayer.tables import account_table, plan_table, teams_table
from analyzer.table import Table

if TYPE_CHECKING:
    from analyzer.archive.open_log import OpenLog

NO_TOKEN = "no token: set TURBO_TOKEN, name a file with --token-file, or log in with `turbo login`"  # noqa: S105
REPLAY_EXITS = exit_help(*set(Exit) - {Exit.THRESHOLD}) + " Where several apply: 7, 4, 8, 6."
DEFAULT_JOURNAL = Path("cache-replay.sqlite")
FILE = click.Path(path_type=Path, dir_okay=False)
NOTE_SECONDS = 60.0
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

_destination, _pace, _failure = titled_option("Destination"), titled_option("Pace"), titled_option("Failures")
_COUNT: dict[str, Any] = {"type": int, "metavar": "N"}


def _default(name: str) -> dict[str, Any]:
    return {"default": getattr(DEFAULTS, name), "show_default": True}


_OPTIONS = (
    click.option("--execute", is_flag=True, help="Send the events. Without it, only the plan is shown."),
    click.option("--limit", **_COUNT, help="Send only the first N events of the selection."),
    click.option("--keep-repeats", is_flag=True, help="Send an event as often as a log has it, not once."),
    _destination("--team-id", metavar="ID", help="Send to the team with this id, whatever the log says."),
    _destination("--slug", metavar="SLUG", help="Send to the team with this slug, whatever the log says."),
    _destination("--as-ci", metavar="NAME", help="Send as from this CI, whatever the log says."),
    _destination("--as-interactive/--as-no-interactive", default=None, help="Send as (not) interactive."),
    _pace("--chunk-size", **_COUNT, **_default("chunk_size"), help="Maximum number of events per request."),
    _pace("--max-bytes", **_COUNT, **_default("max_bytes"), help="Maximum size of a request body."),
    _pace(
        "--requests-per-minute", type=float, metavar="N", **_default("requests_per_minute"),
        help="Rate of requests; 0 means no limit.",
    ),
    _pace("--concurrency", **_COUNT, **_default("concurrency"), help="Number of simultaneous requests."),
    _pace("--max-requests", **_COUNT, help="Stop after N requests; run again to go on."),
    _pace("--max-duration", type=Seconds(), help="Stop after 30s, 5m, 2h (plain numbers are seconds)."),
    _failure(
        "--retries", **_COUNT, **_default("retries"),
        help="Attempts after the first, for events that were certainly not recorded.",
    ),
    _failure(
        "--retry-for", type=Seconds(), default=DEFAULTS.retry_for,
        help=f"Maximum time for these attempts.  [default: {DEFAULTS.retry_for / 60:g}m]",
    ),
    _failure(
        "--on-uncertain", type=click.Choice(ON_UNCERTAIN), **_default("on_uncertain"),
        help="Hold events that may have been recorded, or resend them, which may deliver them twice.",
    ),
    _failure("--max-uncertain", **_COUNT, **_default("max_uncertain"), help="Stop after N ambiguous answers in a row."),
    _destination("--preflight/--no-preflight", default=True, help="Ask the server first whether caching is enabled."),
)  # fmt: skip


@click.command("replay", cls=Command, epilog=f"{FILTERS_HELP} {REPLAY_EXITS}")
@source_options()
@_destination("--api", metavar="URL", help="The server. [env: TURBO_API; default: https://api.vercel.com]")
@_destination("--token-file", type=FILE, help="A file with the token alone. [env: TURBO_TOKEN]")
@_destination("--ca-file", type=FILE, help="Certificate of a private authority, PEM.")
@option_group("options", _OPTIONS, [field.name for field in fields(ReplayOptions)], ReplayOptions)
@click.option("--dead-letters", type=FILE, help="NDJSON file for refused events. [default: beside the journal]")
@click.option(
    "--journal", "journal_path", type=FILE, help="Record of what was sent. [default: beside the archive, else here]"
)
@event_filter_options
@output_options
def command(
    inputs: SourceOptions, api: str | None, token_file: Path | None, ca_file: Path | None, options: ReplayOptions,
    dead_letters: Path | None, journal_path: Path | None, selection: Selection, output: OutputOptions,
) -> int:  # fmt: skip
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
    from analyzer.questions.report import unknown_name_notes  # noqa: PLC0415  (loads DuckDB)

    path = journal_path or default_journal(inputs.sources)
    target = output.target(inputs, *journal_files(path), dead_letters_path(path, dead_letters))
    if dead_letters:
        require_unused(dead_letters, inputs.includes, [])
    server = replace(configured_server(api, token_file), ca_file=ca_file)
    if options.execute and not server.token:
        raise UsageError(NO_TOKEN)
    is_new = not path.exists()
    with ExitStack() as stack:
        log = stack.enter_context(open_source(inputs, "events"))
        for note in unknown_name_notes(log, selection):
            console.note(note)
        require_events(log.connection)  # before the journal, which would stay behind empty
        journal = stack.enter_context(Journal(path, read_only=not options.execute))
        replay = Replay(log.connection, ReplayRequest(selection, options, server.team), server.api, journal)
        _note_other_journals(path, inputs.sources, is_new=is_new)
        teams = [team or "no team" for team in replay.states_by_team]
        endpoint = {
            "api": server.api, "teams": teams[0] if len(teams) == 1 else f"{len(teams)} teams",
            "journal": f"{path} (new)" if is_new and not options.execute else str(path),
        }  # fmt: skip
        if not options.execute:
            plan, account = replay.plan(), replay.account(Counts())
            tables = [plan_table(plan, account, endpoint, options)]
            tables += [teams_table(replay.states_by_team, plan)] if len(teams) > 1 else []
            unsent = "nothing was sent: --execute sends; the server will stamp the events with their time of arrival"
            _write_report(log, replay, account, tables, [unsent], target)
            return exit_code(log.load_result)
        account, stopped, letters = execute(replay, server, dead_letters, _follow)
        tables = [account_table(account, endpoint)]
        _write_report(log, replay, account, tables, _result_notes(replay, account, letters), target)
        unfinished = account.unsent + (account.uncertain if options.resend else 0)
        return _finish(account, unfinished, stopped) or exit_code(log.load_result)


def _note_other_journals(path: Path, sources: Sequence[str], *, is_new: bool) -> None:
    """Note which journals nearby may have recorded the same events as sent: a journal knows only its own runs."""
    real, *named = [Path(os.path.realpath(one)) for one in (str(path), *sources) if one != "-"]
    places = {real.parent, Path.cwd(), *(one if one.is_dir() else one.parent for one in named)}
    others = sorted({str(one) for place in places for one in place.glob("*replay.sqlite")} - {str(real)})
    if others:
        console.note(
            f"other journals are here: {', '.join(others)}. Events that only they record as sent will be sent again; to"
            " continue one of them, name it with --journal"
        )
    if is_new and path == DEFAULT_JOURNAL:
        console.note(
            f"{path} is new: events that were sent from another directory will be sent again, unless --journal names"
            " the journal there"
        )


def _result_notes(replay: Replay, account: Account, letters: DeadLetters) -> list[str]:
    notes = [f"refused: {letters.first}; all refused events are in {letters.path}"] if letters.first else []
    uncertain = account.uncertain - replay.pending.unclear_events
    if uncertain:
        status = f"analyzer journal status --journal {replay.journal.path}"
        commands = f"`{status}` lists them, `analyzer journal resolve` settles them"
        notes.append(f"{uncertain:,} events may or may not have been recorded, and are not sent again: {commands}")
    return notes


def _write_report(
    log: "OpenLog", replay: Replay, account: Account, tables: list[Table], notes: list[str], target: Target
) -> None:
    from analyzer.questions.report import Report, account_for  # noqa: PLC0415

    accounting = account_for(log.counts(), replay.pending.kept_events)
    facts = {name: value if name != "seconds" else round(value, 3) for name, value in asdict(account).items()}
    write(Report("replay", accounting, tables, tables[0], [*replay.notes(), *notes], facts), target)


def _finish(account: Account, unfinished: int, stopped: Stopped | None) -> Exit:
    """Write on stderr why a run stopped early, and return the exit code."""
    if account.unsent and not stopped:
        console.error("events are left unsent without a reason, which is a bug in analyzer; run this again")
        return Exit.STOPPED
    if stopped and (unfinished or stopped.reason is not StopReason.LIMIT):
        report = console.note if stopped.reason is StopReason.LIMIT else console.error
        report(stopped.message)
    code_of_stop = {StopReason.INTERRUPTED: Exit.INTERRUPTED, StopReason.FORBIDDEN: Exit.REFUSED}
    if stopped and (unfinished or stopped.reason in code_of_stop):
        return code_of_stop.get(stopped.reason, Exit.STOPPED)
    if account.uncertain:
        return Exit.UNCERTAIN
    return Exit.DEAD_LETTERS if account.dead_lettered else Exit.OK


@contextmanager
def _stop_on_signals(sender: Sender) -> Iterator[None]:
    """Let Ctrl-C, or a signal to terminate, stop the run after the requests in progress; a second Ctrl-C ends it."""

    def stop(_signal: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, handlers.get(signal.SIGINT, signal.SIG_IGN))
        sender.outcomes.stop(StopReason.INTERRUPTED, "interrupted; run this again to go on")
        console.note("stopping after the request in progress; Ctrl-C again abandons it: its events are then uncertain")

    signals = [number for name in STOP_SIGNALS if (number := getattr(signal, name, None))]
    # A signal that is ignored from outside stays ignored: nohup relies on that.
    handlers = {n: signal.signal(n, stop) for n in signals if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _follow(progress: Iterator[Counts], replay: Replay, sender: Sender) -> None:
    """Run a replay to its end: with a progress bar on a terminal, else with a note per minute."""
    show = _show_bar if sys.stderr.isatty() and not console.is_quiet() else _write_notes
    with _stop_on_signals(sender):
        show(progress, replay.states.unsent, sender)


def _write_notes(progress: Iterator[Counts], unsent: int, sender: Sender) -> None:
    last = time.monotonic()
    for counts in progress:
        if time.monotonic() - last >= NOTE_SECONDS:
            last = time.monotonic()
            waiting = f"; {sender.outcomes.waiting}" if sender.outcomes.waiting else ""
            console.note(f"{counts.confirmed:,} of {unsent:,} events confirmed{waiting}")


def _show_bar(progress: Iterator[Counts], unsent: int, sender: Sender) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from analyzer.render.values import escape_controls  # noqa: PLC0415

    rate_column, waiting_column = TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[waiting]}", markup=False)
    columns = (
        TextColumn("sending"), BarColumn(), MofNCompleteColumn(), rate_column, TimeRemainingColumn(), waiting_column,
    )  # fmt: skip
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=unsent, rate="", waiting="")
        for counts in progress:
            rate = f"{counts.confirmed / max(time.monotonic() - began, 0.001):,.0f} events/s"
            waiting = escape_controls(sender.outcomes.waiting)
            bar.update(task, completed=counts.confirmed, rate=rate, waiting=waiting)


def default_journal(sources: tuple[str, ...]) -> Path:
    """Return the journal's default path: beside the archive, symbolic links resolved, else in this directory."""
    archive = next((Path(source) for source in sources if is_archive(Path(source))), None)
    if not archive:
        return DEFAULT_JOURNAL
    real = archive.resolve()
    return (archive if real == archive.absolute() else real).with_suffix(".replay.sqlite")


def configured_server(api: str | None, token_file: Path | None = None) -> settings.Server:
    """Return the server by the options, the process's environment and turbo's configuration files."""
    from platformdirs import user_config_path  # noqa: PLC0415

    user_directory = user_config_path("turborepo", appauthor=False, roaming=True)
    token = _read_token(token_file) if token_file else None
    return settings.find_server(api, token, os.environ, Path.cwd(), user_directory)


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"--token-file {path}: cannot be read ({reason})") from None
    if not token:
        raise UsageError(f"--token-file {path}: empty; it must hold the token alone")
    return token
