"""`analyzer completion`, and what the shell is told of values."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.exits import HELP as EXITS
from analyzer.cli.options import Command

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NAMES = ("bash", "zsh", "fish")
MOST = 100


@click.command("completion", cls=Command, short_help="Print what completes commands in your shell.", epilog=EXITS)
@click.argument("shell", type=click.Choice(NAMES))
def command(shell: str) -> None:
    """Print a script that lets your shell complete commands, options, files and values.

    Values are formats, dimensions of --by, and the teams and CI vendors of an archive that the line names.

    \b
    Examples:
      eval "$(analyzer completion bash)"
      analyzer completion zsh > ~/.analyzer-completion
      analyzer completion fish > ~/.config/fish/completions/analyzer.fish
    """
    from analyzer.cli import COMPLETE, cli  # noqa: PLC0415  (this command is one of its own)
    from analyzer.cli.shells import SHELLS  # noqa: PLC0415

    click.echo(SHELLS[shell](cli, {}, "analyzer", COMPLETE).source())


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Let the shell complete the name of a file or of a directory."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(incomplete, type="file")]


def dimensions(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the last of dimensions with commas."""
    from analyzer.metrics.dimension import DIMENSIONS  # noqa: PLC0415

    before, comma, last = incomplete.rpartition(",")
    return _items([f"{before}{comma}{name}" for name in DIMENSIONS if name.startswith(last)])


def known(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete a team or CI vendor by what the archive that the line names has; logs are not read for this.

    A value that no line holds, such as one with a newline, is left out.
    """
    from analyzer.archive.database import archive, workspace  # noqa: PLC0415
    from analyzer.errors import AnalyzerError  # noqa: PLC0415
    from analyzer.readers.source import is_archive  # noqa: PLC0415

    words = [*(ctx.params.get("sources") or ()), *ctx.args]
    named = [Path(word) for word in words if is_archive(Path(word))]
    if not named:
        return []
    query = f"SELECT DISTINCT {param.name} FROM store.context WHERE starts_with({param.name}, $start) ORDER BY 1"
    try:
        with workspace() as scratch, archive(named[0], scratch, read_only=True) as connection:
            found = connection.execute(f"{query} LIMIT {MOST}", {"start": incomplete}).fetchall()
    except AnalyzerError:
        return []
    return _items([value for (value,) in found if value and value.isprintable()])


def _items(values: list[str]) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(value) for value in values]
