"""What goes to stderr: one line each, `error:` or `note:` before it."""

import os

import click


def error(message: str) -> None:
    """Say what went wrong."""
    _say("error:", "red", message)


def note(message: str) -> None:
    """Say what the reader of the result must know."""
    _say("note:", "yellow", message)


def _say(word: str, colour: str, message: str) -> None:
    """Write a line; click drops colours where stderr is no terminal, but does not know NO_COLOR."""
    head = word if os.environ.get("NO_COLOR") else click.style(word, fg=colour)
    line = "".join(character if character.isprintable() else " " for character in message)
    click.echo(f"{head} {' '.join(line.split())}", err=True)
