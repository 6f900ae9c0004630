"""Cells in lines: padded, folded where they are wider than their column, with nothing in them that moves a cursor."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap


def cell_width(text: str) -> int:
    """Return how many cells of a screen a text takes.

    >>> cells_of("web"), cells_of("日本")
    (3, 4)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  (only where it is needed)

    return cell_len(text)


def escape_controls(text: str) -> str:
    r"""Write what cannot be printed, but for the ends of lines, so that it can be seen and does nothing.

    >>> harmless("a\x1b[31m\tb")
    'a\\x1b[31m    b'
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\t", "    ")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def fold(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` cells, between words where that is possible.

    >>> folded("local hit rate", 9), folded("abcdef", 4), folded("日本", 3)
    (['local hit', 'rate'], ['abcd', 'ef'], ['日', '本'])
    """
    return [part for line in text.split("\n") for part in _broken(line, width)]


def _broken(line: str, width: int) -> list[str]:
    if cell_width(line) <= width:
        return [line]
    from rich.cells import chop_cells  # noqa: PLC0415  (only where it is needed)

    return [part for words in wrap(line, width) for part in chop_cells(words, width)]


def row_lines(
    cells: Sequence[str], widths: Sequence[int], rights: Sequence[bool], between: str, *, low: bool = False
) -> Iterator[str]:
    """Yield the lines of one row of a table; `rights` are the columns that are aligned at the right.

    Cells of fewer lines than others stand at the top, or `low`.

    >>> list(rows_of(["a b", "1"], [1, 3], [False, True], "|"))
    ['a|  1', 'b|']
    """
    parts = [fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
    most = max(map(len, parts))
    if low:
        parts = [[""] * (most - len(part)) + part for part in parts]
    for line in zip_longest(*parts, fillvalue=""):
        padded = (_padded(*one) for one in zip(line, widths, rights, strict=True))
        yield between.join(padded).rstrip()


def _padded(text: str, width: int, right: bool) -> str:  # noqa: FBT001  (a value of a row)
    space = " " * (width - cell_width(text))
    return space + text if right else text + space
