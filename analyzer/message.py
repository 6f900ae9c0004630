"""What is said to a person, and the options it speaks of: each front end writes these in its own way."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its name in Python, with the value it was given, where that is at fault.

    >>> str(Option("by", "dya")), str(Option("limit"))
    ("by='dya'", 'limit')
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


class Message(str):
    """Text that keeps its `parts`, text and options; as a string it has the options as Python writes them.

    >>> Message("add ", Option("by")).parts, Message(Option("by", 1), ": ", Message("no ", Option("by")))
    (('add ', Option(name='by', value=None)), 'by=1: no by')
    """

    __slots__ = ("parts",)
    parts: tuple[str | Option, ...]

    def __new__(cls, *parts: str | Option) -> Self:
        """Put parts together; those that are messages bring their own."""
        flat = tuple(one for part in parts for one in (part.parts if isinstance(part, Message) else (part,)))
        made = super().__new__(cls, "".join(map(str, flat)))
        made.parts = flat
        return made

    def __getnewargs__(self) -> tuple[str | Option, ...]:  # type: ignore[override]
        return self.parts
