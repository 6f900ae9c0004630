"""The command line. Commands and the libraries under them are imported only when they run."""

import os
import sys
import time
from importlib import import_module

import click

from analyzer.cli import say, streams
from analyzer.cli.exits import ALL_HELP, Exit, exit_of
from analyzer.errors import AnalyzerError, room
from analyzer.text import nearest

COMMANDS = (
    "stats",
    "misses",
    "doctor",
    "retention",
    "sessions",
    "compare",
    "check",
    "report",
    "load",
    "sql",
    "replay",
    "journal",
    "completion",
)
"""Each command, and the module of its name, in the order of the help."""

COMPLETE = "_ANALYZER_COMPLETE"
"""What a shell that completes sets in the environment of the program that it asks."""

INTERRUPTED_QUERY = "Query interrupted"
"""What DuckDB raises, as a RuntimeError, for Ctrl-C while it works."""


class Commands(click.Group):
    """The commands, found by name in `COMMANDS`."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        from analyzer.cli.loudness import louder  # noqa: PLC0415

        return louder(import_module(f"analyzer.cli.{name}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and name the nearest where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f" Did you mean '{near}'?" if near else f" There are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=ALL_HELP,
)
@click.version_option(package_name="cache-event-analyzer", prog_name="analyzer")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Understand a remote build cache from its usage events, offline.

    \b
    Examples:
      analyzer stats sample_data                       hit rates and time saved
      analyzer stats sample_data --by day --since 2026-11-01
      analyzer misses sample_data                      why lookups missed, and what that cost
      analyzer compare sample_data                     did the last week change anything?
      analyzer load sample_data --into cache.duckdb    keep them; ask again in no time
      analyzer sql cache.duckdb "SELECT outcome, count(*) FROM lookups GROUP BY ALL"
      analyzer replay cache.duckdb                     what an upload to the API would be
    """
    if ctx.invoked_subcommand is None:
        from analyzer.cli.start import SCREEN  # noqa: PLC0415

        click.echo(SCREEN, nl=False)


def _nearest(error: click.UsageError) -> str:
    """Return the choice that is nearest to what was written, where there are choices."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param else None
    if not isinstance(kind, click.Choice):
        return ""
    near = nearest(error.message.partition("' is not one of")[0].lstrip("'"), map(str, kind.choices))
    return f"; did you mean {near}?" if near else ""


def _command(arguments: list[str]) -> str:
    """Return the words of the command that a command line is of."""
    return " ".join(["analyzer", *(word for word in arguments[:1] if word in COMMANDS)])


def main() -> None:
    """Run the program, and end it with an exit code that means something; or answer a shell that completes."""
    streams.reopen()
    if COMPLETE in os.environ:
        from analyzer.cli.shells import register  # noqa: PLC0415

        register()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    say.choose(say.Level.USUAL)
    began = time.monotonic()
    code = _run(arguments)
    say.detail(f"took {time.monotonic() - began:.2f} s")
    return code


def _run(arguments: list[str]) -> int:  # noqa: C901  (a branch an error)
    """Run a command line; errors of this package become one line."""
    try:
        result = cli.main(args=arguments, prog_name="analyzer", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return Exit.USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else _command(arguments)
        say.error(f"{error.format_message().rstrip('.')}{_nearest(error)}; see {where} --help")
        return Exit.USAGE
    except AnalyzerError as error:
        say.error(error.message)
        return exit_of(error)
    except (KeyboardInterrupt, click.Abort):
        say.error("interrupted")
        return Exit.INTERRUPTED
    except RuntimeError as error:
        if str(error) != INTERRUPTED_QUERY:
            raise
        say.error("interrupted")
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.FAILED
    except OSError as error:
        advice = room(error)
        say.error(f"{error.filename or 'input or output'}: {error.strerror or error}{advice and '; '}{advice}")
        return Exit.FAILED
    except Exception as error:  # DuckDB is imported only where it is used
        if not type(error).__module__.startswith(("duckdb", "_duckdb")):
            raise
        say.error(f"the database could not go on: {error}")
        return Exit.FAILED
    return result if isinstance(result, int) else Exit.OK
