"""The command line program: finds the command, runs it, and turns errors into one line and an exit code.

A command, and the libraries under it, are imported only when it runs.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from analyzer.cli import console
from analyzer.cli.console import Exit, exit_code_of, exit_help
from analyzer.errors import AnalyzerError, disk_full_advice
from analyzer.text import closest_match

# Names of the commands in the order of the help, and their summaries. The module of each name has its `command`.
COMMANDS = {
    "stats": "Hit rates and time saved.",
    "misses": "Why lookups missed, and what that cost.",
    "causes": "Which inputs changed the hashes of tasks that missed.",
    "doctor": "Problems with the log itself, and what to do about them.",
    "retention": "Hit rate and time saved by how long artifacts are kept.",
    "sessions": "Sessions that stand out, or all lookups of one.",
    "compare": "Compare two periods, filters or sources.",
    "check": "Fail where a threshold is missed, for use in CI.",
    "report": "Put every answer on one page, as HTML or Markdown.",
    "load": "Load logs into an archive that answers at once.",
    "export": "Export logs to a lake: Parquet files by day and team.",
    "forget": "Remove what is older than a date from an archive.",
    "sql": "Run a DuckDB SQL query on logs or an archive.",
    "replay": "Upload events to the API, none of them twice.",
    "journal": "Show, resolve and verify what replay sent.",
    "demo": "Write sample logs to try the commands on.",
    "completion": "Print a completion script for your shell.",
}

# A shell's completion script sets this environment variable when it calls this program.
COMPLETE_VARIABLE = "_ANALYZER_COMPLETE"

# The message of the RuntimeError that DuckDB raises on Ctrl-C during a query.
INTERRUPTED_QUERY = "Query interrupted"

FIRST_SCREEN = """\
analyzer: understand a remote build cache from its usage events, offline.

Sample logs to try it on.        analyzer demo
Is the cache worth it?           analyzer stats sample_data
Why did we miss?                 analyzer misses sample_data
What changed the hashes?         analyzer causes sample_data
Did last week change anything?   analyzer compare sample_data
Show it to the team.             analyzer report sample_data -o report.html
Upload archived events.          analyzer replay sample_data --team web --api https://cache.example.com

`analyzer demo` writes sample_data; replace it by your own logs, directories or globs:
.turbo/runs (turbo run build --summarize), a proxy's request log, HAR, NDJSON, CSV, Parquet.

All commands: analyzer --help      One of them: analyzer stats --help
"""


class CommandGroup(click.Group):
    """The commands, imported by name from `COMMANDS`."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if name not in COMMANDS:
            return None
        return console.add_verbosity_options(import_module(f"analyzer.cli.{name}").command)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the first argument; the error for an unknown command suggests the closest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = closest_match(args[0], COMMANDS)
            hint = f"Did you mean '{near}'?" if near else f"Commands: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{args[0]}'. {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exit_help(*Exit),
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
      analyzer causes sample_data                      which inputs changed the hashes
      analyzer compare sample_data                     did the last week change anything?
      analyzer load sample_data --into cache.duckdb    keep logs in an archive that answers at once
      analyzer sql cache.duckdb "SELECT outcome, count(*) FROM lookups GROUP BY ALL"
      analyzer replay cache.duckdb                     plan an upload to the API
    """
    if ctx.invoked_subcommand is None:
        click.echo(FIRST_SCREEN, nl=False)


def main() -> None:
    """Run the program and exit; or answer a shell that asks for completions."""
    console.reopen_closed_streams()
    if COMPLETE_VARIABLE in os.environ:
        from analyzer.cli.completion import register_shells  # noqa: PLC0415

        register_shells()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    console.set_verbosity(console.Verbosity.NORMAL)
    started = time.monotonic()
    with _cleaning_up_on_signals() as received:
        code = _run(arguments)
    # As a shell reports a process that a signal ended; its work was undone on the way out.
    code = 128 + received[0] if received and code == Exit.INTERRUPTED else code
    console.detail(f"took {time.monotonic() - started:.2f} s")
    return code


@contextmanager
def _cleaning_up_on_signals() -> Iterator[list[int]]:
    """Let signals to terminate interrupt the command as Ctrl-C does; yield the list of those received."""
    received: list[int] = []

    def interrupt(number: int, _frame: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt

    numbers = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))]
    is_main = threading.current_thread() is threading.main_thread()
    # A signal that is ignored from outside stays ignored: nohup relies on that.
    defaults = [number for number in numbers if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in defaults:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number in defaults:
            signal.signal(number, signal.SIG_DFL)


def _run(arguments: list[str]) -> int:  # noqa: C901  (one branch for each kind of error)
    try:
        result = cli.main(args=arguments, prog_name="analyzer", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return Exit.USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else _command_path(arguments)
        console.error(f"{error.format_message().rstrip('.')}{_closest_choice(error)}; see {where} --help")
        return Exit.USAGE
    except AnalyzerError as error:
        console.error(error.message)
        return exit_code_of(error)
    except (KeyboardInterrupt, click.Abort):
        console.error("interrupted")
        return Exit.INTERRUPTED
    except RuntimeError as error:
        if str(error) != INTERRUPTED_QUERY:
            raise
        console.error("interrupted")
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.FAILED
    except OSError as error:
        advice = disk_full_advice(error)
        console.error(f"{error.filename or 'input or output'}: {error.strerror or error}{advice and '; '}{advice}")
        return Exit.FAILED
    except Exception as error:
        # Recognized by the name of its module: importing DuckDB for its exception class takes a tenth of a second.
        if not type(error).__module__.startswith(("duckdb", "_duckdb")):
            raise
        from analyzer.archive.database import explain_error  # noqa: PLC0415

        console.error(explain_error(error))
        return Exit.FAILED
    return result if isinstance(result, int) else Exit.OK


def _command_path(arguments: list[str]) -> str:
    return " ".join(["analyzer", *(word for word in arguments[:1] if word in COMMANDS)])


def _closest_choice(error: click.UsageError) -> str:
    """Return a suggestion where the error is about an option with a list of choices."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param else None
    if not isinstance(kind, click.Choice):
        return ""
    near = closest_match(error.message.partition("' is not one of")[0].lstrip("'"), map(str, kind.choices))
    return f"; did you mean {near}?" if near else ""
