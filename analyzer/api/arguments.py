"""What arguments can be, by the types that the signatures of the Python API promise."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache, wraps
from inspect import signature
from os import PathLike, fspath
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from analyzer.errors import Option, UsageError
from analyzer.text import is_utf8

MOST_SHOWN = 60
"""Characters of a value that a message shows."""

SECRET = ("token",)
"""Those whose value no message shows."""

KINDS: dict[Any, Any] = {float: (int, float), Path: PathLike, tuple: (tuple, list)}
SAID: dict[Any, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "True or False", Path: "a path",
    date: "a date or datetime", NoneType: "None", Sequence: "a sequence of text", tuple: "a pair of numbers",
    Mapping: "a mapping of text to text",
}  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse arguments that its signature does not promise; `*` and `**` it judges itself."""

    @wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        promised = _hints(function)
        for name, value in signature(function).bind(*args, **kwargs).arguments.items():
            if name in promised:
                require_type(name, value, promised[name])
        return function(*args, **kwargs)

    return asked


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    hints, parameters = get_type_hints(function), signature(function).parameters.values()
    return {one.name: hints[one.name] for one in parameters if one.name in hints and one.kind.name[:3] != "VAR"}


def require_type(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that is not of the type of a hint.

    Raises:
        UsageError: it is not.
    """
    if not _fits(value, hint):
        words = list(dict.fromkeys(_words(hint)))
        expected = " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
        raise UsageError(Option(name), f": {expected} is expected, not {_shown(name, value)}")


def _fits(value: Any, hint: Any) -> bool:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if kind is Literal:
        return any(_fits(value, type(one)) for one in inner)  # which of them is told with what is near
    if not isinstance(value, KINDS.get(kind, kind)) or (isinstance(value, bool) and kind is not bool):
        return False
    if kind in (str, Path):
        return _is_text(fspath(value))
    if kind is Mapping:
        return all(_fits(one, inner[0]) for pair in value.items() for one in pair)
    return kind not in (Sequence, tuple) or all(_fits(one, inner[0]) for one in value)


def _is_text(text: str | bytes) -> bool:
    """Tell whether text can be written, in a command line and in UTF-8."""
    return isinstance(text, str) and "\0" not in text and is_utf8(text)


def _words(hint: Any) -> Iterator[str]:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        for one in inner:
            yield from _words(one)
    elif kind is Literal:
        yield from map(repr, inner)
    else:
        yield SAID.get(kind) or f"a {kind.__name__}"


def _shown(name: str, value: Any) -> str:
    """Return a value where it is short, of one line and no secret, else its type."""
    text = repr(value)
    told = text.isprintable() and len(text) <= MOST_SHOWN and name not in SECRET
    return text if told else type(value).__name__
