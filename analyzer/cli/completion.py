"""`analyzer completion`: prints a shell's completion script; also completes files, dimensions and names."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.options import Command

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELL_NAMES = ("bash", "zsh", "fish")
MAX_NAMES = 100


@click.command("completion", cls=Command, epilog=EXITS)
@click.argument("shell", type=click.Choice(SHELL_NAMES))
def command(shell: str) -> None:
    """Print a script that completes commands, options, files and values in your shell.

    Values are formats, dimensions of --by, and the teams and CI vendors of an archive that is named on the line.

    \b
    Examples:
      eval "$(analyzer completion bash)"
      analyzer completion zsh > ~/.analyzer-completion
      analyzer completion fish > ~/.config/fish/completions/analyzer.fish
    """
    from analyzer.cli import COMPLETE_VARIABLE, cli  # noqa: PLC0415  (this command is one of its own)
    from analyzer.cli.shells import SHELLS  # noqa: PLC0415

    click.echo(SHELLS[shell](cli, {}, "analyzer", COMPLETE_VARIABLE).source())


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return an item that lets the shell complete a path."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(incomplete, type="file")]


def complete_dimensions(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the dimensions that complete the last name of a comma-separated list."""
    from analyzer.questions.dimensions import DIMENSIONS  # noqa: PLC0415

    before, comma, last = incomplete.rpartition(",")
    return _items([f"{before}{comma}{name}" for name in DIMENSIONS if name.startswith(last)])


def complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return the teams, or CI vendors, of the archive on the command line; plain logs are too slow to read for this."""
    from analyzer.archive.database import open_archive, temp_directory  # noqa: PLC0415
    from analyzer.errors import AnalyzerError  # noqa: PLC0415
    from analyzer.readers.source import is_archive  # noqa: PLC0415

    words = [*(ctx.params.get("sources") or ()), *ctx.args]
    archive = next((Path(word) for word in words if is_archive(Path(word))), None)
    if not archive:
        return []
    column = param.name
    query = (
        f"SELECT DISTINCT {column} FROM store.context WHERE starts_with({column}, $start) ORDER BY 1 LIMIT {MAX_NAMES}"
    )
    try:
        with temp_directory() as scratch, open_archive(archive, scratch, read_only=True) as connection:
            rows = connection.execute(query, {"start": incomplete}).fetchall()
    except AnalyzerError:
        return []
    # A name with a line break cannot be typed on a line.
    return _items([name for (name,) in rows if name and name.isprintable()])


def _items(values: list[str]) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(value) for value in values]
