"""`analyzer journal`: shows what replay sent, settles uncertain events, and checks the journal."""

from pathlib import Path

import click

from analyzer.archive.selection import Selection
from analyzer.cli import console
from analyzer.cli.console import Exit, exit_help
from analyzer.cli.filters import event_filter_options
from analyzer.cli.options import Command
from analyzer.cli.output import OutputOptions, output_options, write
from analyzer.cli.replay import DEFAULT_JOURNAL, FILE, configured_server, default_journal
from analyzer.cli.source import SourceOptions, open_source, source_options
from analyzer.errors import JournalError, UsageError
from analyzer.replayer.journal import CONFIRMED, DEAD_LETTERED, UNCERTAIN, Journal
from analyzer.replayer.journal_file import journal_files
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.pending import ReplayRequest
from analyzer.replayer.replay import Replay
from analyzer.replayer.settings import normalize_api
from analyzer.replayer.tables import DESTINATIONS, selection_table, uncertain_table, verification_table
from analyzer.table import Table

_JOURNAL = click.option(
    "--journal", "journal_path", type=FILE, default=DEFAULT_JOURNAL, show_default=True,
    help="The journal; beside an archive it is ARCHIVE.replay.sqlite.",
)  # fmt: skip


@click.group("journal", epilog=exit_help())
def command() -> None:
    """Show the journal of replay, settle uncertain events, and check it.

    \b
    Examples, once something has been sent:
      analyzer journal status --journal cache.replay.sqlite
      analyzer journal resolve --uncertain delivered --chunk 17
      analyzer journal verify cache.duckdb
    """


def _open(path: Path, *, read_only: bool = True) -> Journal:
    if not path.is_file():
        nearby = sorted(map(str, path.parent.glob("*replay.sqlite")))
        hint = f"name one with --journal: {', '.join(nearby)}" if nearby else "a replay with --execute creates one"
        raise UsageError(f"{path}: there is no such journal; {hint}")
    return Journal(path, read_only=read_only)


@command.command("status", cls=Command, epilog=exit_help())
@_JOURNAL
@output_options
def status(journal_path: Path, output: OutputOptions) -> None:
    """Show, by destination, what was delivered, refused and unsent.

    \b
    Example:
      analyzer journal status --journal cache.replay.sqlite --format json
    """
    from analyzer.archive.accounting import Accounting  # noqa: PLC0415
    from analyzer.questions.report import Report  # noqa: PLC0415

    target = output.target(None, *journal_files(journal_path))
    with _open(journal_path) as journal:
        tables = [Table("destinations", DESTINATIONS, journal.summary())]
        if uncertain := journal.uncertain_chunks():
            tables.append(uncertain_table(uncertain))
    write(Report("journal", Accounting(), tables, tables[0]), target)


@command.command("resolve", cls=Command, epilog=exit_help())
@_JOURNAL
@click.option(
    "--uncertain", type=click.Choice(["resend", "delivered", "dead-letter"]),
    help="Send them with the next replay (perhaps twice), count them as delivered, or give them up.",
)  # fmt: skip
@click.option("--dead-letters", type=click.Choice(["resend"]), help="Send refused events again, unchanged.")
@click.option("--chunk", "chunk_id", type=int, help="Only this chunk; `journal status` lists them.")
@click.option("--api", metavar="URL", help="Only what went to this server.")
@click.option("--team", metavar="NAME", help="Only what went to this team, as `journal status` names it.")
def resolve(
    journal_path: Path, uncertain: str | None, dead_letters: str | None, chunk_id: int | None, api: str | None,
    team: str | None,
) -> None:  # fmt: skip
    """Settle events that may or may not have been delivered.

    Find out first, at the server, whether they were.

    \b
    Examples, once a replay has left events uncertain:
      analyzer journal resolve --uncertain delivered
      analyzer journal resolve --uncertain resend --chunk 17
      analyzer journal resolve --uncertain resend --team web
    """
    if (uncertain is None) == (dead_letters is None):
        raise UsageError("choose one: --uncertain resend|delivered|dead-letter, or --dead-letters resend")
    state, choice = UNCERTAIN if uncertain else DEAD_LETTERED, uncertain or dead_letters or ""
    new_state, effect = {
        "resend": (None, "the next replay sends them"),
        "delivered": (CONFIRMED, "now delivered"),
        "dead-letter": (DEAD_LETTERED, "now dead letters"),
    }[choice]
    with _open(journal_path, read_only=False) as journal:
        chunks, events = journal.resolve(state, new_state, chunk_id, normalize_api(api) if api else None, team)
    if chunk_id is not None and not chunks:
        raise JournalError(f"--chunk {chunk_id}: no such chunk; `analyzer journal status` lists them")
    none = f"{journal_path}: no events are {state.replace('_', '-')}{' there' if api or team else ''}"
    console.note(f"{events:,} events: {effect}" if chunks else none)


@command.command("verify", cls=Command, epilog=exit_help(Exit.UNCERTAIN))
@source_options()
@click.option("--journal", "journal_path", type=FILE, help="The journal; by default as for replay.")
@click.option("--api", metavar="URL", help="The server that SOURCE was sent to. [env: TURBO_API]")
@click.option("--team-id", metavar="ID", help="The team id that replay was given.")
@click.option("--slug", metavar="SLUG", help="The team slug that replay was given.")
@output_options
@event_filter_options
def verify(
    inputs: SourceOptions, journal_path: Path | None, api: str | None, team_id: str | None, slug: str | None,
    output: OutputOptions, selection: Selection,
) -> int:  # fmt: skip
    """Check that the journal is sound, and compare it with SOURCE.

    Exits with 1 if the journal is damaged, and with 8 if events are uncertain.

    \b
    Examples, once something has been sent:
      analyzer journal verify
      analyzer journal verify cache.duckdb --format json
    """
    from analyzer.archive.accounting import Accounting  # noqa: PLC0415
    from analyzer.questions.report import Report  # noqa: PLC0415

    journal_path = journal_path or default_journal(inputs.sources)
    target = output.target(inputs, *journal_files(journal_path))
    with _open(journal_path) as journal:
        faults = list(journal.faults())
        tables, notes = [verification_table(journal_path, faults, journal.summary())], list[str]()
        if inputs.sources:
            table, notes = _compare(inputs, journal, api, ReplayOptions(team_id=team_id, slug=slug), selection)
            tables.append(table)
    write(Report("journal", Accounting(), tables, tables[0], notes), target)
    for fault in faults:
        console.error(f"{journal_path}: {fault}")
    uncertain = tables[0].records()[0]["uncertain"]
    return Exit.FAILED if faults else Exit.UNCERTAIN if uncertain else Exit.OK


def _compare(
    inputs: SourceOptions, journal: Journal, api: str | None, options: ReplayOptions, selection: Selection
) -> tuple[Table, list[str]]:
    """Return the states of the events of SOURCE in the journal, and notes on what the journal has beside them."""
    from analyzer.questions.report import unknown_name_notes  # noqa: PLC0415

    server = configured_server(api)
    with open_source(inputs, "events") as log:
        notes = unknown_name_notes(log, selection)
        replay = Replay(log.connection, ReplayRequest(selection, options, server.team), server.api, journal)
        outside = replay.events_outside_selection()
    notes += replay.unclear_team_notes()
    others = sorted({row[0] for row in journal.summary()} - {server.api})
    if others:
        notes.append(f"the journal also knows {', '.join(others)}: --api names the server to compare with")
    return selection_table(server.api, replay.states, outside), notes
