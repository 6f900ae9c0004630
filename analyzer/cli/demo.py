"""`analyzer demo`: writes the sample logs that come with the package."""

import shlex
import shutil
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from analyzer.cli.console import exit_help
from analyzer.cli.options import Command
from analyzer.errors import UsageError

WROTE = "Wrote {}: 91 days of a made-up company's cache events, and run summaries of one team. Try:"
NEXT_COMMANDS = {
    "Is the cache worth it?": "stats {}",
    "When did it get worse?": "stats {} --by week",
    "Why did we miss?": "misses {}",
    "What changed the hashes?": "causes {} --last 7d",
    "How long to keep artifacts?": "retention {}",
    "Show it to the team.": "report {} -o report.html",
}


@click.command("demo", cls=Command, epilog=exit_help())
@click.argument("directory", type=click.Path(path_type=Path), default="sample_data")
def command(directory: Path) -> None:
    """Write sample logs to try the commands on, into DIRECTORY (sample_data).

    \b
    Examples:
      analyzer demo
      analyzer demo /tmp/logs
    """
    if directory.exists():
        raise UsageError(f"{directory}: it exists already; name another directory")
    if not directory.absolute().parent.is_dir():
        raise UsageError(f"{directory}: there is no directory {directory.parent}; create it first")
    # Only a complete directory gets the name.
    with TemporaryDirectory(dir=directory.absolute().parent, prefix=".analyzer-demo-") as scratch:
        with as_file(_sample_data()) as source:
            shutil.copytree(source, Path(scratch) / "logs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        (Path(scratch) / "logs").rename(directory)
    name = shlex.quote(str(directory))
    lines = [f"{question:<31}  analyzer {command.format(name)}" for question, command in NEXT_COMMANDS.items()]
    click.echo("\n".join((WROTE.format(name), "", *lines)))


def _sample_data() -> Traversable:
    """Return the sample logs: inside the package, or beside it in a checkout."""
    inside = files("analyzer") / "sample_data"
    return inside if inside.is_dir() else files("analyzer") / ".." / "sample_data"
