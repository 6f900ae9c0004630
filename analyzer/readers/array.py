"""A file that is one JSON array of events, pretty-printed or on one line, of any length; also several in a row.

A broken item costs itself, and what stands between it and the next object.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from analyzer.readers.item import CUT_OFF, WHITESPACE, Item, decoded_lines, number_items, skip_whitespace, value_end

WINDOW_CHARS = 1 << 20
"""Text held at once."""

MAX_VALUE_CHARS = 1 << 26
"""A value may be longer than the window up to here; of a longer one only the beginning is kept."""

TOO_LONG = f"longer than {MAX_VALUE_CHARS >> 20} Mi characters, which is not read"
TEXT_OUTSIDE_ARRAY = "text outside the array"
LONE_COMMA = "a comma without an item"

LINE_OR_ARRAY = re.compile(r"[\n\[]")
NEXT_OBJECT = re.compile(r",\s*\{|\]\s*\[")
NEXT_OBJECT_OR_END = re.compile(rf"{NEXT_OBJECT.pattern}|\]\s*\Z")
"""Where a broken item may end, and at the file's end also: before an object, or an array's end."""

NEAR_END_CHARS = 8
"""So near to the end of the text a problem may be that there is no more of it yet."""


class Window:
    """A sliding piece of a file's text that knows the line number of its place."""

    def __init__(self, chunks: Iterable[bytes] = (), text: str = "") -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._chunks = iter(chunks)
        self.text, self.place, self.line, self.ended = text, 0, 1, False
        self.fill()
        self.text = self.text.removeprefix("\ufeff")

    def fill(self) -> bool:
        """Read on until the window is full again; False where the file gave nothing more."""
        self.text, self.place = self.text[self.place :], 0
        before = len(self.text)
        while not self.ended and len(self.text) < WINDOW_CHARS + before:
            chunk = next(self._chunks, None)
            self.ended = chunk is None
            self.text += self._decode(chunk or b"", final=self.ended)
        return len(self.text) > before

    def skip(self, separators: str) -> str:
        """Go past white space and `separators`; return the next character, empty at the end of the file."""
        while True:
            self.advance(skip_whitespace(self.text, self.place))
            found = self.text[self.place : self.place + 1]
            if found and found in separators:
                self.advance(self.place + 1)
            elif found or not self.fill():
                return found

    def advance(self, place: int) -> None:
        """Move on to `place`, counting lines."""
        self.line += self.text.count("\n", self.place, place)
        self.place = place

    def seek(self, pattern: re.Pattern[str]) -> bool:
        """Move past the first match of `pattern`; False where there is none in the file."""
        while True:
            found = pattern.search(self.text, self.place)
            if found:
                self.advance(found.end())
                return True
            self.advance(max(self.place, len(self.text) - 256))
            if not self.fill():
                return False

    def take(self) -> tuple[str, str | None]:
        """Return the JSON value at this place and move past it, or what stands there and its problem."""
        while True:
            try:
                end = value_end(self.text, self.place)
                # A number or a word at the window's edge may go on behind it.
                if end < len(self.text) or not self.fill():
                    return self._cut_out(end), None
            except json.JSONDecodeError as error:
                if len(self.text) - self.place < WINDOW_CHARS and self.fill():
                    continue
                whole = self._long() if self._goes_on(error) else None
                return whole or self._broken()

    def _goes_on(self, error: json.JSONDecodeError) -> bool:
        """Tell whether a value may be whole, had more of it been read."""
        is_near = error.pos >= len(self.text) - NEAR_END_CHARS
        is_nested = self.text[self.place : self.place + 1] in ("{", "[")
        return is_nested and not self.ended and (is_near or error.msg.startswith("Unterminated string"))

    def _long(self) -> tuple[str, str | None] | None:
        """Return the value at this place, longer than the window, and move past it; None where it is broken."""
        bounds = BracketCounter()
        parts, kept, line = [], 0, self.line
        while (end := bounds.end_in(self.text, self.place)) is None and not bounds.broken:
            parts += [self.text[self.place :]] if kept < MAX_VALUE_CHARS else []
            kept += len(self.text) - self.place
            self.advance(len(self.text))
            if not self.fill():
                return "".join(parts), CUT_OFF
        if end is None:
            self.text, self.place, self.line = "".join([*parts, self.text[self.place :]]), 0, line
            return None
        parts.append(self._cut_out(end))
        text = "".join(parts)
        return (text, None if _is_json(text) else "not JSON") if kept < MAX_VALUE_CHARS else (text, TOO_LONG)

    def rest_of_line(self) -> str:
        """Return what stands in this line before another array, of a very long one a part, and move past it."""
        while not (found := LINE_OR_ARRAY.search(self.text, self.place)):
            if len(self.text) - self.place >= MAX_VALUE_CHARS or not self.fill():
                break
        return self._cut_out(found.start() if found else len(self.text)).rstrip(WHITESPACE)

    def _broken(self) -> tuple[str, str]:
        found = (NEXT_OBJECT_OR_END if self.ended else NEXT_OBJECT).search(self.text, self.place)
        if found:
            return self._cut_out(found.start()).rstrip(WHITESPACE), "not JSON"
        problem = CUT_OFF if self.ended else "not JSON; what follows it up to the next whole object is skipped"
        return self._cut_out(len(self.text)), problem

    def _cut_out(self, end: int) -> str:
        value = self.text[self.place : end]
        self.advance(end)
        return value


def elements(window: Window) -> Iterator[Item]:
    """Yield each element of the arrays from the window's place on; what stands outside them is an item at fault."""
    while found := window.skip(""):
        if found == "[":
            window.advance(window.place + 1)
            yield from _elements_of_one(window)
        else:
            line = window.line
            yield Item(line, 1, window.rest_of_line(), problem=TEXT_OUTSIDE_ARRAY)


def _elements_of_one(window: Window) -> Iterator[Item]:
    """Yield what stands between the brackets; a comma too many or too few is an item at fault."""
    problem, separated, comma = None, True, 0
    while (found := window.skip("")) not in ("", "]"):
        line = window.line
        if found == ",":
            window.advance(window.place + 1)
            if separated:
                yield Item(line, 1, ",", problem=LONE_COMMA)
            separated, comma = True, comma if separated else line
            continue
        text, problem = window.take()
        yield Item(line, 1, text, problem=problem if problem or separated else "no comma before this item")
        separated, comma = False, 0
    if found and separated and comma:
        yield Item(comma, 1, ",", problem=LONE_COMMA)
    if found:
        window.advance(window.place + 1)
    elif problem != CUT_OFF:
        yield Item(window.line, 1, "", problem=CUT_OFF)


def array_items(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield (text, problem) of each item of the JSON array that is `text`.

    >>> list(of_text('[{"a": 1}, {"a" 2}, {"a": 3}]'))
    [('{"a": 1}', None), ('{"a" 2}', 'not JSON'), ('{"a": 3}', None)]
    """
    window = Window(text=text)
    window.advance(skip_whitespace(window.text, 0) + 1)
    for item in _elements_of_one(window):
        yield item.text, "not JSON" if item.problem == CUT_OFF else item.problem
    rest = window.text[window.place :].strip(WHITESPACE)
    if rest:
        yield rest, TEXT_OUTSIDE_ARRAY


def read_array(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each element of the array as an item."""
    return number_items(elements(Window(chunks)))


def _is_json(text: str) -> bool:
    try:
        return value_end(text, 0) == len(text)
    except json.JSONDecodeError:
        return False


def read_batches(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each line."""
    return number_items(item for number, text in decoded_lines(chunks) for item in batch_line_items(number, text))


def batch_line_items(number: int, text: str) -> Iterator[Item]:
    """Yield the events of one line."""
    if text.lstrip().startswith("["):
        for event, problem in array_items(text):
            yield Item(number, 1, event, problem=problem)
    else:
        yield Item(number, 1, text)


_BRACKET_OR_QUOTE = re.compile(r'["{}\[\]]')
_STRING_SPECIAL = re.compile(r'["\\\n]')


class BracketCounter:
    """Follows an object or an array through pieces of text.

    `broken` is set where a line ends inside a string, which no JSON does: where the value ends is not known then.

    >>> bounds = Bounds()
    >>> bounds.end_in('{"a": "}'), bounds.end_in('\\\\"", "b": []}, 2')
    (None, 13)
    """

    def __init__(self) -> None:
        self._depth, self._in_string, self._escaped, self.broken = 0, False, False, False

    def end_in(self, text: str, place: int = 0) -> int | None:
        """Return where in this next piece the value ends; None where it goes on behind it, or is broken."""
        place += self._escaped and bool(text)
        self._escaped = self._escaped and not text
        while found := (_STRING_SPECIAL if self._in_string else _BRACKET_OR_QUOTE).search(text, place):
            mark, place = found[0], found.end()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                self._escaped = place == len(text)
                place += 1
            elif mark == "\n":
                self.broken = True
                return None
            else:
                self._depth += 1 if mark in "{[" else -1
                if not self._depth:
                    return place
        return None
