"""What a reader finds in a file: items, each with its place, and a few ways to split JSON text without losing it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

_DECODER = json.JSONDecoder()
BOM = b"\xef\xbb\xbf"
_WHITESPACE = re.compile(r"[ \t\r\n]*")

WHITESPACE = " \t\r\n"
MAX_LINE_BYTES = 1 << 26
"""Of a longer line, or value, only the beginning is kept."""

MAX_REJECT_CHARS = 200
"""So much is kept of the text of a reject."""

CUT_OFF = "cut off: the file ends inside this item"
NOT_UTF8 = "not valid UTF-8"


class Item(NamedTuple):
    """One event as it stands in its file, or what stands in the place of one.

    `text` is the JSON text of the event, `line` and `item` its place (both from 1), `context` what the request
    around it says (JSON values by envelope column), `problem` why it can be no event, where the reader knows, `shown`
    how it stands in the file, where that is no JSON.
    """

    line: int
    item: int | None
    text: str
    context: dict[str, Any] | None = None
    problem: str | None = None
    shown: str | None = None


ItemReader = Callable[[Iterator[bytes], Mapping[str, str]], Iterator[Item]]
"""A reader: from a file's plain bytes, and the schema's name for columns named otherwise, to its items."""


def value_end(text: str, start: int) -> int:
    """Return where the JSON value that starts at `start` ends.

    Raises:
        json.JSONDecodeError: there is no whole JSON value.

    >>> value_end('[1, 2] 3', 0)
    6
    """
    try:
        return _DECODER.raw_decode(text, start)[1]
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise json.JSONDecodeError(f"beyond what is read ({error})", text, start) from None


def skip_whitespace(text: str, start: int) -> int:
    """Return the first place from `start` on that is no JSON white space."""
    found = _WHITESPACE.match(text, start)
    return found.end() if found else start


def object_members(text: str) -> dict[str, str]:
    """Return the JSON text of each value of the object in `text`, by key.

    Raises:
        json.JSONDecodeError: it is no JSON object, or has a key twice.

    >>> members('{"status": 200, "body": [1, 2]}')
    {'status': '200', 'body': '[1, 2]'}
    """
    found: dict[str, str] = {}
    place = skip_whitespace(text, 0)
    closing = "}"
    if text[place : place + 1] != "{":
        raise json.JSONDecodeError("not an object", text, place)
    place = skip_whitespace(text, place + 1)
    while text[place : place + 1] != closing:
        key, end = _DECODER.raw_decode(text, place)
        colon = skip_whitespace(text, end)
        if not isinstance(key, str) or text[colon : colon + 1] != ":":
            raise json.JSONDecodeError("a key and a colon expected", text, place)
        if key in found:
            raise json.JSONDecodeError(f'duplicate key "{key}"', text, place)
        start = skip_whitespace(text, colon + 1)
        end = value_end(text, start)
        found[key] = text[start:end]
        place = skip_whitespace(text, end)
        if text[place : place + 1] == ",":
            place = skip_whitespace(text, place + 1)
        elif text[place : place + 1] != closing:
            raise json.JSONDecodeError("a comma or the end expected", text, place)
    if text[place + 1 :].strip(WHITESPACE):
        raise json.JSONDecodeError("text after the object", text, place + 1)
    return found


def number_items(items: Iterable[Item]) -> Iterator[Item]:
    """Give items of one line their place in it, from 1; an item that stands for its whole line keeps None."""
    line, count = 0, 0
    for found in items:
        line, count = (found.line, 1) if found.line != line else (line, count + 1)
        yield found if found.item in (None, count) else found._replace(item=count)


def raw_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield lines with their newlines, which the last may lack.

    >>> list(raw_lines([b"one\n\ntw", b"o"]))
    [b'one\n', b'\n', b'two']
    """
    parts, size = list[bytes](), 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for raw in whole:
            yield b"".join((*parts, raw if size < MAX_LINE_BYTES else b"", b"\n"))
            parts, size = [], 0
        parts += [rest] if size < MAX_LINE_BYTES else []
        size += len(rest)
    if size:
        yield b"".join(parts)


def decoded_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    r"""Yield (line number, text) of each line that is not blank; bytes that are no UTF-8 become surrogates.

    >>> list(lines([b"one\n\ntw", b"o\r\n"]))
    [(1, 'one'), (3, 'two')]
    """
    for number, raw in enumerate(raw_lines(chunks), start=1):
        if raw.strip():
            yield number, decode_line(raw, number)


def decode_line(raw: bytes, line: int, ending: str = "\r\n") -> str:
    """Decode a line without its ending; the first may carry a byte order mark."""
    text = raw.decode("utf-8", "surrogateescape").rstrip(ending)
    return text.removeprefix("\ufeff") if line == 1 else text
