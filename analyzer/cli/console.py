"""Writes `error:`, `note:` and `detail:` lines to stderr at the user's verbosity, and defines the exit codes.

Library messages name options by their Python names (`analyzer.errors.Option`); this module spells them for the shell.
"""

import os
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any, Self, TextIO

import click

from analyzer.cli.options import TitledOption
from analyzer.errors import AnalyzerError, InputError, Message, Option, UsageError
from analyzer.text import replace_surrogates


class Exit(IntEnum):
    """An exit code and its meaning, as help lists it."""

    OK = 0, "ok"
    FAILED = 1, "failed"
    USAGE = 2, "usage"
    INPUT = 3, "input not readable, or every event rejected"
    STOPPED = 4, "replay stopped, run it again to continue"
    THRESHOLD = 5, "threshold missed"
    DEAD_LETTERS = 6, "replay finished with dead letters"
    REFUSED = 7, "refused by the server (auth, billing, disabled)"
    UNCERTAIN = 8, "uncertain events remain"
    INTERRUPTED = 130, "interrupted"

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Create a member whose value is `code`."""
        member = int.__new__(cls, code)
        member._value_, member.meaning = code, meaning
        return member


def exit_help(*more: Exit) -> str:
    """Return the help text about the exit codes that every command has, and `more`."""
    codes = sorted({Exit.OK, Exit.FAILED, Exit.USAGE, Exit.INPUT, Exit.INTERRUPTED, *more})
    return f"Exit codes: {', '.join(f'{code.value} {code.meaning}' for code in codes)}."


def exit_code_of(error: AnalyzerError) -> Exit:
    """Return the exit code of a command that failed with `error`."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    return Exit.INPUT if isinstance(error, InputError) else Exit.FAILED


class Verbosity(IntEnum):
    """How much is written to stderr."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2
    DEBUG = 3


_FLAGS = {
    "--quiet": (Verbosity.QUIET, "Write errors only, without progress or notes."),
    "--verbose": (Verbosity.VERBOSE, "Also write what was read from each file, and how long the command took."),
    "--debug": (Verbosity.DEBUG, "Like --verbose, with a traceback for each error."),
}


class _State:
    # One command line runs at a time in a process; tests run several, so `run` resets it.
    verbosity = Verbosity.NORMAL


def set_verbosity(verbosity: Verbosity) -> None:
    """Set the verbosity of everything written from now on."""
    _State.verbosity = verbosity


def is_quiet() -> bool:
    """Return whether notes and progress are off."""
    return _State.verbosity is Verbosity.QUIET


def add_verbosity_options(command: click.Command) -> click.Command:
    """Add --quiet, --verbose and --debug to a command and its subcommands, once."""
    if not any(parameter.name == "quiet" for parameter in command.params):
        command.params += [_verbosity_option(flag, *meaning) for flag, meaning in _FLAGS.items()]
    for subcommand in command.commands.values() if isinstance(command, click.Group) else ():
        add_verbosity_options(subcommand)
    return command


def _verbosity_option(flag: str, verbosity: Verbosity, help_text: str) -> click.Option:
    def callback(_ctx: click.Context, _param: click.Parameter, is_set: Any) -> None:
        if is_set:
            set_verbosity(verbosity)

    # Eager: the verbosity is known before any other option can fail.
    return TitledOption(
        [flag], title="Output", is_flag=True, expose_value=False, is_eager=True, callback=callback, help=help_text
    )


def error(message: str) -> None:
    """Write what failed; with --debug, after the traceback."""
    if _State.verbosity is Verbosity.DEBUG and sys.exc_info()[0]:
        import traceback  # noqa: PLC0415  (10 ms, only for --debug)

        click.echo(traceback.format_exc(), err=True)
    _write_line("error:", "red", message)


def note(message: str) -> None:
    """Write what the reader of the result needs to know."""
    if _State.verbosity >= Verbosity.NORMAL:
        _write_line("note:", "yellow", message)


def detail(message: str) -> None:
    """Write what is of interest with --verbose only."""
    if _State.verbosity >= Verbosity.VERBOSE:
        _write_line("detail:", "cyan", message)


def _write_line(label: str, colour: str, message: str) -> None:
    # click drops colours where stderr is no terminal, but does not know NO_COLOR.
    label = label if os.environ.get("NO_COLOR") else click.style(label, fg=colour)
    text = replace_surrogates(spell_options(message))
    # File names and server answers may hold line breaks and escape sequences: a message stays one harmless line.
    text = "".join(character if character.isprintable() else " " for character in text)
    try:
        click.echo(f"{label} {' '.join(text.split())}", err=True)
    except BrokenPipeError:
        # The reader, such as `head` after 2>&1, has enough. Python would fail again when it flushes stderr at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


# Options whose command line name does not follow from their Python name.
SHELL_NAMES = {
    "run": "RUN",
    "baseline": "BASE",
    "columns": "--map COLUMN=THEIRS",
    "format": "--from",
    "id": "ID",
    "rejects": "--rejects FILE",
    "token": "TURBO_TOKEN, --token-file or turbo's login",
}


def spell_options(text: str) -> str:
    """Return `text` with its options as they are typed in a shell.

    >>> spell_options(Message(Option("team_id", "x y"), ": add ", Option("by")))
    '--team-id x y: add --by'
    >>> spell_options(Message(Option("columns", "hash=key"), " or ", Option("columns")))
    '--map hash=key or --map COLUMN=THEIRS'
    """
    return "".join(map(_spell, text.parts)) if isinstance(text, Message) else text


def _spell(part: str | Option) -> str:
    if isinstance(part, str):
        return part
    name = SHELL_NAMES.get(part.name) or f"--{part.name.replace('_', '-')}"
    return name if part.value is None else f"{name.split()[0]} {part.value}"


def reopen_closed_streams() -> None:
    """Point standard streams that were closed before the start at the null device.

    Otherwise the next file to be opened would get the number of a standard stream, and output would land in it.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = _null_stream()
    if sys.stderr is None:
        sys.stderr = _null_stream()


def _null_stream() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8", errors="replace")
