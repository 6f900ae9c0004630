"""Declares the commands of questions, which share SOURCE, filters, output options and the cost of a minute."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.console import Exit, exit_help
from analyzer.cli.filters import FILTERS_HELP, filter_options
from analyzer.cli.options import COST_PER_MINUTE, ENGINE, Command, Decorator, option_group
from analyzer.cli.output import OutputOptions, output_options_with, write
from analyzer.cli.source import (
    SourceOptions,
    exit_code,
    open_engine,
    open_lake_source,
    open_source,
    source_options,
)

if TYPE_CHECKING:
    from analyzer.archive.open_log import Needs, OpenLog
    from analyzer.archive.selection import Selection
    from analyzer.questions.report import Report


@dataclass(frozen=True, slots=True)
class QuestionArguments:
    """The arguments that the commands of all questions have."""

    inputs: SourceOptions
    selection: "Selection"
    output: OutputOptions
    cost_per_minute: float | None = None
    engine: str | None = None

    @contextmanager
    def open_logs(self, *inputs: SourceOptions, needs: "Needs | None" = None) -> Iterator[list["OpenLog"]]:
        """Open one or more SOURCEs, for the engine of --engine if it is given."""
        view = self.selection.view
        if self.engine is not None:
            from analyzer.archive.open_log import require_lake  # noqa: PLC0415

            for one in inputs:  # before the engine starts, which takes long
                require_lake(one.sources, view)
        with ExitStack() as stack:
            engine = stack.enter_context(open_engine(self.engine))
            yield [
                stack.enter_context(
                    open_lake_source(one, view, engine) if engine else open_source(one, view, needs=needs)
                )
                for one in inputs
            ]

    def answer(self, question: Callable[["OpenLog"], "Report"], needs: "Needs | None" = None) -> Exit:
        """Open SOURCE, write the report that `question` returns, and return the exit code."""
        from analyzer.questions.report import with_costs  # noqa: PLC0415

        target = self.output.target(self.inputs)
        with self.open_logs(self.inputs, needs=needs) as (log,):
            write(with_costs(question(log), self.cost_per_minute), target)
            return exit_code(log.load_result)


def question_command(
    name: str,
    *options: Decorator,
    source: str = "[SOURCE]...",
    default_format: str = "table",
    exits: str = exit_help(),
    has_costs: bool = True,
    has_engine: bool = True,
) -> Callable[[Callable[..., int]], click.Command]:
    """Return a decorator that makes a function a command with the shared arguments and its own `options`.

    The function gets the shared ones as the argument `arguments`. It validates its options before it opens SOURCE.
    """
    shared: dict[str, Decorator] = {"cost_per_minute": COST_PER_MINUTE} if has_costs else {}
    if has_engine:
        shared["engine"] = ENGINE
    parameters = (
        source_options(source), *options, *shared.values(), filter_options, output_options_with(default_format),
    )  # fmt: skip
    names = ("inputs", "selection", "output", *shared)

    def decorate(function: Callable[..., Any]) -> click.Command:
        decorated = option_group("arguments", parameters, names, QuestionArguments)(function)
        return click.command(name, cls=Command, epilog=f"{FILTERS_HELP} {exits}")(decorated)

    return decorate
