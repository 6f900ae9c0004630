"""Options that stand together: in help under one title, and for the command as one value."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import click

OWN = "Options"
TITLES = (OWN, "Destination", "Pace", "Failures", "Input", "Filters", "Output")
"""The titles in the order of help: a command's own options come first."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Titled(click.Option):
    """An option that stands under a title."""

    def __init__(self, *names: Any, title: str = OWN, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.title = title


class Command(click.Command):
    """A command whose help tells its options by title."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of each title together."""
        for title in TITLES:
            options = [param for param in self.get_params(ctx) if getattr(param, "title", OWN) == title]
            shown = [option.get_help_record(ctx) for option in options if not isinstance(option, click.Argument)]
            records = [record for record in shown if record]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def under(title: str) -> Callable[..., Decorator]:
    """Return what `click.option` is, for options under a title."""
    return partial(click.option, cls=Titled, title=title)


def gathered(name: str, options: Sequence[Decorator], taken: Sequence[str], gather: Callable[..., Any]) -> Decorator:
    """Return a decorator that adds options; the values of those `taken` reach the command as one argument, `name`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def one(**given: Any) -> Any:
            given[name] = gather(**{key: given.pop(key) for key in taken})
            return function(**given)

        decorated: Callable[..., Any] = one
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
