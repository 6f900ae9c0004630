"""What a reader finds in a file: items, each with its place, and a few ways to split JSON text without losing it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

_DECODER = json.JSONDecoder()
BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")
NEXT_OBJECT = re.compile(r"\}\s*,\s*(?=\{)")

TEXT_CHARS = 200
"""So much is kept of the text of a reject."""

CUT = "cut off: the file ends inside this item"
NOT_UTF8 = "not valid UTF-8"
LONE_COMMA = "a comma without an item"


@dataclass(frozen=True, slots=True)
class Item:
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


Items = Callable[[Iterator[bytes], Mapping[str, str]], Iterator[Item]]
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


def skip_space(text: str, start: int) -> int:
    """Return the first place from `start` on that is no JSON white space."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def split_array(text: str, start: int = 0) -> Iterator[tuple[str, str | None]]:
    """Yield (text, problem) of each item of the JSON array at `start`; a broken item costs itself alone.

    >>> list(split_array('[{"a": 1}, {"a" 2}, {"a": 3}]'))
    [('{"a": 1}', None), ('{"a" 2}', 'not JSON'), ('{"a": 3}', None)]
    """
    place, comma = skip_space(text, start + 1), False
    while text[place : place + 1] != "]":
        if text[place : place + 1] == ",":
            yield ",", LONE_COMMA
            place, comma = skip_space(text, place + 1), True
            continue
        try:
            end = value_end(text, place)
        except json.JSONDecodeError:
            found = NEXT_OBJECT.search(text, place)
            yield text[place : found.start() + 1] if found else text[place:], "not JSON"
            if not found:
                return
            place = found.end()
            continue
        yield text[place:end], None
        after = skip_space(text, end)
        comma = text[after : after + 1] == ","
        if not comma and text[after : after + 1] != "]":
            yield text[end:], "not JSON"
            return
        place = skip_space(text, after + comma)
    if comma:
        yield ",", LONE_COMMA
    yield from _after_array(text, place + 1)


def _after_array(text: str, place: int) -> Iterator[tuple[str, str | None]]:
    rest = text[place:].strip()
    if rest:
        yield rest, "text after the end of the array"


def members(text: str) -> dict[str, str]:
    """Return the JSON text of each value of the object in `text`, by key.

    Raises:
        json.JSONDecodeError: it is no JSON object, or has a key twice.

    >>> members('{"status": 200, "body": [1, 2]}')
    {'status': '200', 'body': '[1, 2]'}
    """
    found: dict[str, str] = {}
    place = skip_space(text, 0)
    closing = "}"
    if text[place : place + 1] != "{":
        raise json.JSONDecodeError("not an object", text, place)
    place = skip_space(text, place + 1)
    while text[place : place + 1] != closing:
        key, end = _DECODER.raw_decode(text, place)
        colon = skip_space(text, end)
        if not isinstance(key, str) or text[colon : colon + 1] != ":":
            raise json.JSONDecodeError("a key and a colon expected", text, place)
        if key in found:
            raise json.JSONDecodeError(f'duplicate key "{key}"', text, place)
        start = skip_space(text, colon + 1)
        end = value_end(text, start)
        found[key] = text[start:end]
        place = skip_space(text, end)
        if text[place : place + 1] == ",":
            place = skip_space(text, place + 1)
        elif text[place : place + 1] != closing:
            raise json.JSONDecodeError("a comma or the end expected", text, place)
    if text[place + 1 :].strip():
        raise json.JSONDecodeError("text after the object", text, place + 1)
    return found


def numbered(items: Iterable[Item]) -> Iterator[Item]:
    """Give items of one line their place in it, from 1; an item that stands for its whole line keeps None."""
    line, count = 0, 0
    for found in items:
        line, count = (found.line, 1) if found.line != line else (line, count + 1)
        yield found if found.item is None else replace(found, item=count)


def lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    r"""Yield (line number, text) of each line that is not blank; bytes that are no UTF-8 become surrogates.

    >>> list(lines([b"one\n\ntw", b"o\r\n"]))
    [(1, 'one'), (3, 'two')]
    """
    number, rest = 0, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for raw in whole:
            number += 1
            if raw.strip():
                yield number, text_of(raw, number)
    if rest.strip():
        yield number + 1, text_of(rest, number + 1)


def text_of(raw: bytes, line: int, ending: str = "\r") -> str:
    """Decode a line without its ending; the first may carry a byte order mark."""
    text = raw.decode("utf-8", "surrogateescape").rstrip(ending)
    return text.removeprefix("\ufeff") if line == 1 else text
