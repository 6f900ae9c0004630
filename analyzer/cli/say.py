"""What goes to stderr: one line each, `error:` or `note:` before it; less of it with --quiet, more with --verbose."""

import os
import sys
from enum import IntEnum

import click

from analyzer.cli.spelling import spelled
from analyzer.text import shown


class Level(IntEnum):
    """How much is said."""

    QUIET = 0
    USUAL = 1
    VERBOSE = 2
    DEBUG = 3


class _Said:
    """What the command line that runs now was told."""

    level = Level.USUAL


def choose(level: Level) -> None:
    """Say so much from here on."""
    _Said.level = level


def is_quiet() -> bool:
    """Tell whether only errors are said, and no progress is drawn."""
    return _Said.level is Level.QUIET


def error(message: str) -> None:
    """Say what went wrong; with --debug, where in the program."""
    if _Said.level is Level.DEBUG and sys.exc_info()[0]:
        import traceback  # noqa: PLC0415  (only where it is needed)

        click.echo(traceback.format_exc(), err=True)
    _say("error:", "red", message)


def note(message: str) -> None:
    """Say what the reader of the result must know."""
    if _Said.level >= Level.USUAL:
        _say("note:", "yellow", message)


def detail(message: str) -> None:
    """Say what few want to know."""
    if _Said.level >= Level.VERBOSE:
        _say("detail:", "cyan", message)


def _say(word: str, colour: str, message: str) -> None:
    """Write a line; click drops colours where stderr is no terminal, but does not know NO_COLOR."""
    head = word if os.environ.get("NO_COLOR") else click.style(word, fg=colour)
    line = "".join(character if character.isprintable() else " " for character in shown(spelled(message)))
    click.echo(f"{head} {' '.join(line.split())}", err=True)
