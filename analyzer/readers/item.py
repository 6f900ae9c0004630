"""Defines `Item`, which every reader yields, and splits text into the lines and JSON values that readers work on."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

BOM = b"\xef\xbb\xbf"
WHITESPACE = " \t\r\n"  # of JSON; `str.strip()` without it would also remove characters that JSON does not allow
MAX_LINE_BYTES = 1 << 26  # only the beginning of a longer line is read
MAX_ITEM_BYTES = 1 << 20  # of an event: DuckDB holds several in memory at once, for each thread
MAX_DEPTH = 200  # of nested JSON objects and arrays, well below the limit of Python's parser
MAX_REJECT_CHARS = 200  # the text of a reject is shortened to this

OTHER_TRAFFIC = "other traffic"  # the problem of an item that is no reject: a logged request that reports no events
# The problem of an item that is the upload or download of an artifact: `text` is the hash, `context` the rest.
TRANSFER = "transfer"
CUT_OFF = "cut off: the file ends inside this item"
NOT_JSON = "not JSON"
NOT_UTF8 = "not valid UTF-8"
TOO_LONG = f"longer than {MAX_ITEM_BYTES >> 20} MiB, which is not read"
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep, which is not read"

_DECODER = json.JSONDecoder()
_STRING_OR_MARK = re.compile(r'"(?:[^"\\]|\\.)*+("|\Z)|[\[\]{},]', re.DOTALL)
_WHITESPACE_RUN = re.compile(r"[ \t\r\n]*")


class Item(NamedTuple):
    """One event as it stands in a file, not yet validated, or a part of the file that cannot be read as events.

    `line` and `item` count from 1; `item` is None if the item stands for its whole line.
    """

    line: int
    item: int | None
    text: str  # JSON text of the event, or the unreadable text
    context: dict[str, Any] | None = None  # envelope of the request around the event: JSON values by column name
    problem: str | None = None  # why the item cannot be an event, if the reader already knows
    raw: str | None = None  # the source text, if the file does not contain the event as JSON (a CSV row)


class ReaderOptions(NamedTuple):
    """Options of readers: the schema's name for each renamed column, and the pause that ends a derived session."""

    renamed: Mapping[str, str]
    session_gap_seconds: float


# Yields the items of a file, given its decompressed chunks.
ItemReader = Callable[[Iterator[bytes], ReaderOptions], Iterator[Item]]


def value_end(text: str, start: int) -> int:
    """Return the position after the JSON value that starts at `start`, or raise a JSONDecodeError."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:  # nested too deeply, or an integer of too many digits
        raise json.JSONDecodeError(f"beyond what is read ({error})", text, start) from None


def parse_strictly(text: str) -> Any:
    """Return the value of a JSON text, without NaN, infinity and duplicate keys.

    Raises:
        ValueError: it is not such JSON, or nested too deeply.
    """
    try:
        return _STRICT_DECODER.decode(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def close_cut_json(text: str, *, keep_last: bool = False) -> Any:
    """Return the value of a JSON text that is cut off, without its last member or item unless `keep_last` is set.

    >>> close_cut_json('{"a": [1, 2], "b": [{"c": "d"}, "ef')
    {'a': [1, 2], 'b': [{'c': 'd'}]}
    >>> close_cut_json('{"a": 1, "b": [{"c": "de', keep_last=True)
    {'a': 1, 'b': [{'c': 'de'}]}

    Raises:
        ValueError: it is not cut off, or no JSON up to there.
    """
    closers, cut = list[str](), ""
    last_comma, closers_there = 0, list[str]()
    for match in _STRING_OR_MARK.finditer(text):
        mark = match[0]
        if mark in "{[":
            closers.append("}" if mark == "{" else "]")
        elif mark in "}]" and closers:
            closers.pop()
        elif mark == ",":
            last_comma, closers_there = match.start(), closers.copy()
        elif not match[1]:
            cut = '"'
    if not closers and not cut:
        return parse_strictly(text)  # raises: it is not cut off
    if keep_last:
        with suppress(ValueError):
            return parse_strictly(text + cut + "".join(reversed(closers)))
    return parse_strictly(text[:last_comma] + "".join(reversed(closers_there)))


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("duplicate key")
    return members


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_STRICT_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_reject_constant)


def skip_space(text: str, start: int) -> int:
    """Return the first position from `start` on that is not JSON white space."""
    run = _WHITESPACE_RUN.match(text, start)
    return run.end() if run else start


def numbered(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items, those of each line numbered from 1, except those that stand for their whole line."""
    line, count = 0, 0
    for item in items:
        line, count = (item.line, 1) if item.line != line else (line, count + 1)
        yield item if item.item in (None, count) else item._replace(item=count)


def raw_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each line with its newline, which the last line may lack."""
    parts, size = list[bytes](), 0
    for chunk in chunks:
        *complete, rest = chunk.split(b"\n")
        for end in complete:
            yield b"".join((*parts, end if size < MAX_LINE_BYTES else b"", b"\n"))
            parts, size = [], 0
        parts += [rest] if size < MAX_LINE_BYTES else []
        size += len(rest)
    if size:
        yield b"".join(parts)


def decoded_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of each line that is not blank; invalid UTF-8 becomes surrogates."""
    for number, raw in enumerate(raw_lines(chunks), start=1):
        if raw.strip():
            yield number, decode_line(raw, number)


def decode_line(raw: bytes, number: int, ending: str = "\r\n") -> str:
    """Decode line `number` and strip its ending, and the byte order mark of the first line."""
    text = raw.decode("utf-8", "surrogateescape").rstrip(ending)
    return text.removeprefix("\ufeff") if number == 1 else text
