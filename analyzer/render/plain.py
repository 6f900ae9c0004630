"""Text that Markdown shows as it is: no link, no image, no emphasis, and nobody is called by their name."""

import re
from collections.abc import Sequence

_MARKS = re.compile(r"([\\`*_\[\]<>|~#&])")
_LINKS = re.compile(r"(?<=\w)(?=://)|(?<=www)(?=[.])|(?<=@)(?=\w)", re.IGNORECASE)
NOTHING_SEEN = "\u200b"
"""A space of no width: what it parts is no link, and no `@name` that GitHub would tell of it."""


def plain_of(text: str) -> str:
    r"""Return text that Markdown leaves as it is.

    >>> plain_of("![x](a)|*b*")
    '!\\[x\\](a)\\|\\*b\\*'
    >>> plain_of("@acme/ui") == "@\u200bacme/ui"
    True
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    return _MARKS.sub(r"\\\1", _LINKS.sub(NOTHING_SEEN, shown))


def cut(text: str, most_chars: int | None) -> str:
    """Return a text, or its beginning where it is longer than may be."""
    return text if most_chars is None or len(text) <= most_chars else f"{text[:most_chars]}…"


def row_of(cells: Sequence[str]) -> str:
    """Write a row of a table, of cells that are plain already."""
    return "| " + " | ".join(cells) + " |"
