"""How options that the library speaks of are written on the command line."""

from analyzer.message import Message, Option

OTHERWISE = {
    "columns": "--map COLUMN=THEIRS",
    "format": "--from",
    "id": "ID",
    "rejects": "--rejects FILE",
    "token": "TURBO_TOKEN, --token-file or turbo's login",
}
"""Those that are called otherwise than in Python."""


def spelled(text: str) -> str:
    """Return a text with its options as they are written here.

    >>> spelled(Message(Option("team_id", "x y"), ": add ", Option("by")))
    '--team-id x y: add --by'
    >>> spelled(Message(Option("columns", "hash=key"), " or ", Option("columns")))
    '--map hash=key or --map COLUMN=THEIRS'
    """
    return "".join(map(_written, text.parts)) if isinstance(text, Message) else text


def _written(part: str | Option) -> str:
    if isinstance(part, str):
        return part
    name = OTHERWISE.get(part.name) or f"--{part.name.replace('_', '-')}"
    return name if part.value is None else f"{name.split()[0]} {part.value}"
