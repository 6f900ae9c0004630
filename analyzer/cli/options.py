"""Groups of options and the types of their values: what the commands share to declare their parameters."""

import re
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import click

from analyzer.questions.options import MissesOptions
from analyzer.validation import MAX_MEMORY_MB, MIN_MEMORY_MB

OWN_TITLE = "Options"
# The titles of help sections in their order: a command's own options come first.
TITLES = (OWN_TITLE, "Destination", "Pace", "Failures", "Input", "Filters", "Output")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class TitledOption(click.Option):
    """An option that help lists under a title."""

    def __init__(self, *names: Any, title: str = OWN_TITLE, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.title = title


class Command(click.Command):
    """A command whose help lists its options by title."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section for each title."""
        for title in TITLES:
            options = [param for param in self.get_params(ctx) if getattr(param, "title", OWN_TITLE) == title]
            records = [option.get_help_record(ctx) for option in options if not isinstance(option, click.Argument)]
            if any(records):
                with formatter.section(title):
                    formatter.write_dl([record for record in records if record])


def titled_option(title: str) -> Callable[..., Decorator]:
    """Return `click.option` for options under `title`."""
    return partial(click.option, cls=TitledOption, title=title)


def option_group(name: str, options: Sequence[Decorator], names: Sequence[str], build: Callable[..., Any]) -> Decorator:
    """Return a decorator that adds `options` and passes the command one argument `name`: `build(**values of names)`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def with_group(**values: Any) -> Any:
            values[name] = build(**{key: values.pop(key) for key in names})
            return function(**values)

        decorated: Callable[..., Any] = with_group
        for option in reversed(options):  # click lists options in the reverse order of their decorators
            decorated = option(decorated)
        return decorated

    return decorate


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


class Seconds(click.ParamType[float]):
    """A duration in seconds, typed as 30s, 5m, 2h, 1d or a plain number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(value)
        if not match:
            self.fail(f"{value!r} is not a duration such as 30s, 5m, 2h or 1d", param, ctx)
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not seconds:
            self.fail(f"{value!r} is not longer than zero", param, ctx)
        return seconds


_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(MB|GB|TB|MiB|GiB|TiB)", re.IGNORECASE)
_MEGABYTES = {"mb": 1, "gb": 1e3, "tb": 1e6, "mib": 2**20 / 1e6, "gib": 2**30 / 1e6, "tib": 2**40 / 1e6}


class Megabytes(click.ParamType[float]):
    """A size in MB, typed as 500MB, 2GB or 1.5GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return MB."""
        if isinstance(value, int | float):
            return float(value)
        match = _SIZE.fullmatch(value)
        if not match:
            self.fail(f"{value!r} is not a size such as 500MB, 2GB or 1.5GiB", param, ctx)
        size = float(match[1]) * _MEGABYTES[match[2].lower()]
        if not MIN_MEMORY_MB <= size <= MAX_MEMORY_MB:
            self.fail(f"{value!r} is not between {MIN_MEMORY_MB}MB and {MAX_MEMORY_MB // 10**6}TB", param, ctx)
        return size


class Rate(click.ParamType[float]):
    """A rate from 0 to 1; for a percentage, the error shows the rate that was meant."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the rate; its bounds are checked with the other options of the command."""
        text = str(value).strip()
        try:
            rate = float(text.removesuffix("%"))
        except ValueError:
            self.fail(f"{value!r} is not a rate from 0 to 1", param, ctx)
        if text.endswith("%") or 1 < rate <= 100:  # noqa: PLR2004  (percent)
            self.fail(f"{value!r} is not a rate from 0 to 1; did you mean {rate / 100:g}?", param, ctx)
        return rate


_RESTORE_COST = re.compile(r"(local|remote)=(\d+(?:\.\d+)?)")


class RestoreCost(click.ParamType[tuple[float, float]]):
    """Milliseconds that restoring a local and a remote hit takes: local=MS,remote=MS; one left out is 0."""

    name = "restore-cost"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return the milliseconds of a local and of a remote hit."""
        if isinstance(value, tuple):
            return value
        matches = [_RESTORE_COST.fullmatch(part) for part in value.split(",")]
        costs_ms = {match[1]: float(match[2]) for match in matches if match}
        if len(costs_ms) < len(matches):  # a part of another form, or one given twice
            self.fail(f"{value!r} is not of the form local=MS,remote=MS, such as local=40,remote=600", param, ctx)
        return costs_ms.get("local", 0.0), costs_ms.get("remote", 0.0)


def limit_option(default: int | None, help_text: str) -> Decorator:
    """Return the option --limit of a command."""
    return click.option("--limit", type=int, metavar="N", default=default, show_default=True, help=help_text)


RETENTION = click.option(
    "--retention", type=float, default=MissesOptions().retention_days, show_default=True, metavar="DAYS",
    help="How long the cache keeps artifacts now.",
)  # fmt: skip

ENGINE = click.option(
    "--engine", metavar="ENGINE",
    help="Answer from a lake by Apache Spark: local[*], spark://HOST:PORT, or sc://HOST:PORT.",
)  # fmt: skip

COST_PER_MINUTE = click.option(
    "--cost-per-minute", type=float, metavar="MONEY", help="What a minute of a task costs; adds columns of money."
)
