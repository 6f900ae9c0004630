"""A reader's items, written down one a line for DuckDB; places of rows, looked up in the file itself."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from analyzer.readers.item import BOM, MAX_REJECT_CHARS, NOT_UTF8, WHITESPACE, Item, raw_lines
from analyzer.readers.stream import Stream

PIECE_BYTES = 1 << 14
CUT_BYTES = 1 << 22


LONGEST_ITEM_BYTES = 1 << 23
"""DuckDB holds several at once, for each thread."""

TOO_LONG = f"longer than {LONGEST_ITEM_BYTES >> 20} MiB, which is not read"


def write_items(path: Path, items: Iterable[Item]) -> None:
    """Write each item as a JSON object a line, with the columns of `raw.SPOOL_COLUMNS`."""
    with path.open("wb") as file:
        file.writelines(_line(item) for item in items)


def _line(item: Item) -> bytes:
    fields = {"problem": item.problem, "text": item.text, "shown": item.raw, "context": item.context}
    line = json.dumps({"line": item.line, "item": item.item, **fields}, separators=(",", ":"), ensure_ascii=False)
    try:
        data = line.encode()
    except UnicodeEncodeError:
        clean = json.loads(_SURROGATES.sub("\ufffd", line))
        data = json.dumps({**clean, "problem": item.problem or NOT_UTF8}, ensure_ascii=False).encode()
    return data + b"\n" if len(data) <= LONGEST_ITEM_BYTES else _line(_cut(item))


def _cut(item: Item) -> Item:
    """Return what is told of an item that is too long."""
    shown = (item.text if item.raw is None else item.raw)[:MAX_REJECT_CHARS]
    return Item(item.line, item.item, "", problem=TOO_LONG, raw=shown)


_SURROGATES = re.compile("[\ud800-\udfff]")


def copy(stream: Stream, path: Path) -> None:
    """Write a stream's plain bytes, without a byte order mark, into a file."""
    with path.open("wb") as file:
        for number, chunk in enumerate(stream.chunks()):
            file.write(chunk.removeprefix(BOM) if number == 0 else chunk)


def whole_line_pieces(chunks: Iterable[bytes], least_bytes: int = CUT_BYTES) -> Iterator[bytes]:
    """Yield whole lines in order, as many together as make `least_bytes`.

    >>> list(pieces(iter([b"a\\nb", b"\\nc"]), 4))
    [b'a\\nb\\n', b'c']
    """
    held = bytearray()
    for chunk in chunks:
        held += chunk
        whole = held.rfind(b"\n", len(held) - len(chunk)) + 1 if len(held) >= least_bytes else 0
        if whole:
            yield bytes(held[:whole])
            del held[:whole]
    yield bytes(held)


def lines_at(chunks: Iterator[bytes], numbers: Iterable[int]) -> tuple[list[tuple[int, bytes]], int]:
    """Return (line number, bytes) of the lines of these numbers, in order, and how many newlines there are in all.

    >>> lines_at(iter([b"a\\nb", b"\\nc"]), [2, 3])
    ([(2, b'b'), (3, b'c')], 2)
    """
    wanted, found = iter(numbers), list[tuple[int, bytes]]()
    target = next(wanted, None)
    before, rest = 0, b""
    for piece in chain(_slices(chunks), (b"\n",)):
        data = rest + piece
        whole, newline, rest = data.rpartition(b"\n")
        ending = before + whole.count(b"\n") + len(newline)
        if target is not None and target <= ending:
            lines = whole.split(b"\n")
            while target is not None and target <= ending:
                found.append((target, lines[target - before - 1]))
                target = next(wanted, None)
        before = ending
    return found, before - 1


def _slices(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut chunks small: only pieces that hold a line that is wanted are split into lines."""
    return (chunk[start : start + PIECE_BYTES] for chunk in chunks for start in range(0, len(chunk), PIECE_BYTES))


def locate_lines(chunks: Iterator[bytes], positions: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (position, line number, text) of lines by position: their number among those not blank, from 1.

    >>> list(places(iter([b"a\\n\\nb\\n"]), [2]))
    [(2, 3, 'b')]
    """
    wanted = iter(positions)
    target, position = next(wanted, None), 0
    for line, raw in enumerate(raw_lines(chunks), start=1):
        if target is None:
            return
        position += bool(raw.strip())
        if position == target:
            yield position, line, raw.decode("utf-8", "replace").strip(WHITESPACE)[:MAX_REJECT_CHARS]
            target = next(wanted, None)
