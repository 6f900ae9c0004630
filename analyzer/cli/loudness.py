"""The options that say how much is told; every command has them."""

from typing import Any

import click

from analyzer.cli.options import Titled
from analyzer.cli.say import Level, choose

_LEVELS = {
    "--quiet": (Level.QUIET, "Say errors only, draw no progress."),
    "--verbose": (Level.VERBOSE, "Say more: what became of each file, and how long it took."),
    "--debug": (Level.DEBUG, "Say more, and where in the program an error is from."),
}


def louder(command: click.Command) -> click.Command:
    """Add the options to a command, and to those below it."""
    if not any(option.name == "quiet" for option in command.params):
        command.params += [_option(name, level, text) for name, (level, text) in _LEVELS.items()]
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        louder(below)
    return command


def _option(name: str, level: Level, text: str) -> click.Option:
    def chosen(_ctx: click.Context, _param: click.Parameter, is_given: Any) -> None:
        if is_given:
            choose(level)

    return Titled([name], title="Output", is_flag=True, expose_value=False, is_eager=True, callback=chosen, help=text)
