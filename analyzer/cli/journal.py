"""`analyzer journal`: what replay knows it sent, and what a person knows better."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli import console
from analyzer.cli.environment import DEFAULT_JOURNAL, default_journal, replay_settings
from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.exits import Exit
from analyzer.cli.files import require_writable
from analyzer.cli.filters import filter_options
from analyzer.cli.options import Command, titled_option
from analyzer.cli.output import OutputOptions, Target, output_options, write
from analyzer.cli.source import SourceOptions, load_progress, open_source, source_options
from analyzer.errors import UsageError

if TYPE_CHECKING:
    from analyzer.archive.selection import Selection
    from analyzer.replayer.journal import Journal
    from analyzer.replayer.settings import Settings
    from analyzer.table import Table

_JOURNAL = click.option(
    "--journal",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_JOURNAL,
    show_default=True,
    help="The journal; beside an archive it is ARCHIVE.replay.sqlite.",
)


@click.group("journal", short_help="See, settle and check what replay sent.", epilog=EXITS)
def command() -> None:
    """Look at the journal of replay, settle what is uncertain, and check it.

    \b
    Examples, once something has been sent:
      analyzer journal status --journal cache.replay.sqlite
      analyzer journal resolve --uncertain delivered --chunk 17
      analyzer journal verify cache.duckdb
    """


def _open(path: Path, *, read_only: bool = True) -> "Journal":
    from analyzer.replayer.journal import Journal  # noqa: PLC0415

    if not path.is_file():
        here = sorted(str(one) for one in path.parent.glob("*replay.sqlite"))
        known = f"name one with --journal: {', '.join(here)}" if here else "a replay with --execute makes one"
        raise UsageError(f"{path}: there is no such journal; {known}")
    return Journal(path, read_only=read_only)


@command.command("status", cls=Command, epilog=EXITS)
@_JOURNAL
@output_options
def status(path: Path, output: OutputOptions) -> None:
    """Show, by destination, what was delivered, refused and unsent.

    \b
    Example:
      analyzer journal status --journal cache.replay.sqlite --format json
    """
    from analyzer.replayer.journal_file import family  # noqa: PLC0415
    from analyzer.replayer.tables import destinations_table, uncertain_table  # noqa: PLC0415

    target = output.target(None, *family(path))
    with _open(path) as journal:
        tables = [destinations_table(journal.summary())]
        if uncertain := journal.uncertain():
            tables.append(uncertain_table(uncertain))
    _write(tables, target)


def _write(tables: "list[Table]", target: Target) -> None:
    from analyzer.archive.accounting import Accounting  # noqa: PLC0415
    from analyzer.questions.report import Report  # noqa: PLC0415

    write(Report("journal", Accounting(0, 0, 0, 0, 0, 0), tables, tables[0]), target)


@command.command("resolve", cls=Command, epilog=EXITS)
@_JOURNAL
@click.option(
    "--uncertain",
    "how",
    type=click.Choice(["resend", "delivered", "dead-letter"]),
    help="Send again with the next replay (perhaps twice), count as delivered, or give up.",
)
@click.option("--dead-letters", type=click.Choice(["resend"]), help="Send refused events again, unchanged.")
@click.option("--chunk", "chunk_id", type=int, help="Only this chunk; `journal status` lists them.")
@click.option("--api", metavar="URL", help="Only what went to this server.")
@click.option("--team", metavar="NAME", help="Only what went to this team, as `journal status` names it.")
def resolve(
    path: Path, how: str | None, dead_letters: str | None, chunk_id: int | None, api: str | None, team: str | None,
) -> None:  # fmt: skip
    """Settle events that may or may not have arrived.

    Do so once you have found out, at the server, whether they did.

    \b
    Examples, once a replay has left something uncertain:
      analyzer journal resolve --uncertain delivered
      analyzer journal resolve --uncertain resend --chunk 17
      analyzer journal resolve --uncertain resend --team web
    """
    from analyzer.replayer.journal import CONFIRMED, DEAD, UNCERTAIN  # noqa: PLC0415
    from analyzer.replayer.settings import address  # noqa: PLC0415

    if (how is None) == (dead_letters is None):
        raise UsageError("say what to do: --uncertain resend|delivered|dead-letter, or --dead-letters resend")
    of, states = UNCERTAIN if how else DEAD, {"resend": None, "delivered": CONFIRMED, "dead-letter": DEAD}
    chosen = how or dead_letters or ""
    with _open(path, read_only=False) as journal:
        chunks, events = journal.resolve(of, states[chosen], chunk_id, address(api) if api else None, team)
    done = {"resend": "the next replay sends them", "delivered": "now delivered", "dead-letter": "now dead letters"}
    none = f"{path}: no events are {of.replace('_', '-')}{' there' if api or team else ''}"
    console.note(f"{events:,} events: {done[chosen]}" if chunks else none)


@command.command("verify", cls=Command, epilog=EXITS)
@source_options()
@click.option(
    "--journal", "path", type=click.Path(path_type=Path, dir_okay=False), help="The journal; by default as for replay."
)
@click.option("--api", metavar="URL", help="The server that SOURCE was sent to. [env: TURBO_API]")
@click.option("--team-id", metavar="ID", help="The team it was sent to, where that was said.")
@click.option("--slug", metavar="SLUG", help="The same, by the team's slug.")
@titled_option("Input")("--force", is_flag=True, help="Overwrite the file of --rejects.")
@filter_options
def verify(
    inputs: SourceOptions, path: Path | None, api: str | None, team_id: str | None, slug: str | None, force: bool,
    selection: "Selection",
) -> int:  # fmt: skip
    """Check that the journal is sound; with SOURCE, how it fits.

    \b
    Examples, once something has been sent:
      analyzer journal verify
      analyzer journal verify cache.duckdb
    """
    from analyzer.replayer.journal_audit import journal_faults  # noqa: PLC0415

    path = path or default_journal(inputs.sources)
    require_writable([inputs.rejects] if inputs.rejects else [], inputs.includes, [path], force=force)
    with _open(path) as journal:
        found = list(journal_faults(journal))
        for fault in found:
            console.error(f"{path}: {fault}")
        if inputs.sources:
            _fit(inputs, journal, replay_settings(api, None), (team_id, slug), selection)
    if not found:
        console.note(f"{path}: sound")
    return Exit.FAILED if found else Exit.OK


def _fit(
    inputs: SourceOptions, journal: "Journal", settings: "Settings", team: tuple[str | None, str | None],
    selection: "Selection",
) -> None:  # fmt: skip
    """Say what the journal knows of the events of SOURCE, and what it knows of besides."""
    from analyzer.questions.notes import unknown_name_notes  # noqa: PLC0415
    from analyzer.replayer.pending import ReplayRequest  # noqa: PLC0415
    from analyzer.replayer.replay import Replay  # noqa: PLC0415
    from analyzer.replayer.teams import Overrides  # noqa: PLC0415

    overrides = Overrides(*team, default_team_id=settings.team_id, default_slug=settings.slug)
    with open_source(inputs, load_progress(), Purpose(selection.view, to_send=True)) as log:
        for words in unknown_name_notes(log, selection):
            console.note(words)
        session = Replay(log.connection, ReplayRequest(selection, overrides), settings.api, journal)
        session.consult()
        elsewhere = session.elsewhere()
    tally = session.tally
    console.note(
        f"for {settings.api}: {tally.selected:,} events selected = {tally.confirmed:,} confirmed"
        f" + {tally.dead_lettered:,} dead-lettered"
        f" + {tally.uncertain:,} uncertain + {tally.unsent:,} unsent"
    )
    for words in session.unsure():
        console.note(words)
    if elsewhere:
        console.note(f"{elsewhere:,} more events went there that SOURCE and filters do not give")
    others = sorted({row[0] for row in journal.summary()} - {settings.api})
    if others:
        console.note(f"the journal also knows {', '.join(others)}: --api names the server that is meant")
