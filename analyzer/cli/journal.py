"""`analyzer journal`: what replay knows it sent, and what a person knows better."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli import say
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.exits import Exit
from analyzer.cli.filters import filter_options
from analyzer.cli.output import check, output_options, write
from analyzer.cli.place import DEFAULT_JOURNAL, settings_of
from analyzer.cli.source import SourceOptions, open_source, progress, source_options
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection
    from analyzer.replay.journal import Journal
    from analyzer.table import Table

_JOURNAL = click.option(
    "--journal",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_JOURNAL,
    show_default=True,
    help="The journal; beside an archive it is ARCHIVE.replay.sqlite.",
)


@click.group("journal", epilog=EXITS)
def command() -> None:
    """Look at the journal of replay, settle what is uncertain, and check it.

    \b
    Examples:
      analyzer journal status --journal cache.replay.sqlite
      analyzer journal resolve --uncertain delivered --chunk 17
      analyzer journal verify sample_data
    """


def _open(path: Path) -> "Journal":
    from analyzer.replay.journal import Journal  # noqa: PLC0415

    if not path.is_file():
        raise UsageError(f"{path}: there is no journal; name it with --journal (a replay with --execute makes one)")
    return Journal(path, create=False)


@command.command("status", epilog=EXITS)
@_JOURNAL
@output_options
def status(path: Path, format_name: str | None, output: Path | None, force: bool) -> None:
    """Show, for each destination, what was delivered, refused, left open and left unsent.

    \b
    Example:
      analyzer journal status --journal cache.replay.sqlite --format json
    """
    from analyzer.replay.tables import destinations_table, uncertain_table  # noqa: PLC0415

    written = check(format_name, output, None, force=force)
    with _open(path) as journal:
        tables = [destinations_table(journal.summary())]
        if uncertain := journal.uncertain():
            tables.append(uncertain_table(uncertain))
    _write(tables, written, output)


def _write(tables: "list[Table]", written: Any, output: Path | None) -> None:
    from analyzer.archive.file import Accounting  # noqa: PLC0415
    from analyzer.report import Report  # noqa: PLC0415

    write(Report("journal", Accounting(0, 0, 0, 0, 0, 0), tables, tables[0]), written, output)


@command.command("resolve", epilog=EXITS)
@_JOURNAL
@click.option(
    "--uncertain",
    "how",
    type=click.Choice(["resend", "delivered", "dead-letter"]),
    required=True,
    help="Send again with the next replay (perhaps twice), count as delivered, or give up.",
)
@click.option("--chunk", "chunk_id", type=int, help="Only this chunk; `journal status` lists them.")
def resolve(path: Path, how: str, chunk_id: int | None) -> None:
    """Settle events of which nobody knows whether they arrived, once you have found out.

    \b
    Examples:
      analyzer journal resolve --uncertain delivered
      analyzer journal resolve --uncertain resend --chunk 17
    """
    from analyzer.replay.journal import CONFIRMED, DEAD  # noqa: PLC0415

    states = {"resend": None, "delivered": CONFIRMED, "dead-letter": DEAD}
    with _open(path) as journal:
        chunks, events = journal.resolve(states[how], chunk_id)
    done = {"resend": "the next replay sends them", "delivered": "now delivered", "dead-letter": "now dead letters"}
    say.note(f"{events:,} events in {chunks:,} chunks: {done[how]}" if chunks else "nothing is uncertain")


@command.command("verify", epilog=EXITS)
@source_options()
@_JOURNAL
@click.option("--api", metavar="URL", help="The server that SOURCE was sent to. [env: TURBO_API]")
@filter_options
def verify(inputs: SourceOptions, path: Path, api: str | None, selection: "Selection") -> int:
    """Check that the journal is sound; with SOURCE, also how it fits these events.

    \b
    Examples:
      analyzer journal verify
      analyzer journal verify cache.duckdb --journal cache.replay.sqlite
    """
    with _open(path) as journal:
        faults = journal.faults()
        for fault in faults:
            say.error(f"{path}: {fault}")
        if inputs.sources:
            _fit(inputs, journal, settings_of(api, None).api, selection)
    if not faults:
        say.note(f"{path}: sound")
    return Exit.FAILED if faults else Exit.OK


def _fit(inputs: SourceOptions, journal: "Journal", api: str, selection: "Selection") -> None:
    """Say what the journal knows of the events of SOURCE, and what it knows of besides."""
    from analyzer.replay.queue import Wanted  # noqa: PLC0415
    from analyzer.replay.session import Session  # noqa: PLC0415
    from analyzer.replay.target import Overrides  # noqa: PLC0415

    settings = settings_of(api, None)
    with open_source(inputs, progress()) as opened:
        wanted = Wanted(selection, Overrides(default_team_id=settings.team_id, default_slug=settings.slug))
        session = Session(opened.connection, wanted, api)
        session.consult(journal)
    tally = session.tally
    say.note(
        f"{tally.selected:,} events selected = {tally.confirmed:,} confirmed + {tally.dead_lettered:,} dead-lettered"
        f" + {tally.uncertain:,} uncertain + {tally.unsent:,} unsent"
    )
    held = sum(sum(row[2:5]) for row in journal.summary() if row[0] == api)
    elsewhere = held - tally.confirmed - tally.dead_lettered - tally.uncertain
    if elsewhere:
        say.note(f"{elsewhere:,} more events of the journal are not in SOURCE")
