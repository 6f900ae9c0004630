"""What goes to stderr: one line each, `error:` or `note:` before it."""

import click


def error(message: str) -> None:
    """Say what went wrong."""
    click.echo(f"{click.style('error:', fg='red')} {message}", err=True)


def note(message: str) -> None:
    """Say what the reader of the result must know."""
    click.echo(f"{click.style('note:', fg='yellow')} {message}", err=True)
