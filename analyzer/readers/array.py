"""Reads JSON arrays of events: one array per file (`array`) or one per line (`batches`).

A damaged item must cost that item alone, and a file may be larger than memory. `Window` therefore slides over the text
and takes one item at a time; after a syntax error it resumes at the next `, {` or `] [`. The parsers of json and ijson
cannot do this: both give up at the first error.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator

from analyzer.readers.item import (
    CUT_OFF,
    NOT_JSON,
    WHITESPACE,
    Item,
    ReaderOptions,
    decoded_lines,
    numbered,
    skip_space,
    value_end,
)

WINDOW_CHARS = 1 << 20  # text in memory, unless an item is longer
MAX_VALUE_CHARS = 1 << 26  # only the beginning of a longer item is read
TOO_LONG = f"longer than {MAX_VALUE_CHARS >> 20} Mi characters, which is not read"
TEXT_OUTSIDE_ARRAY = "text outside the array"
LONE_COMMA = "a comma without an item"

_LINE_OR_ARRAY = re.compile(r"[\n\[]")
_NEXT_OBJECT = re.compile(r",\s*\{|\]\s*\[")
_NEXT_OBJECT_OR_END = re.compile(rf"{_NEXT_OBJECT.pattern}|\]\s*\Z")
_NEAR_END_CHARS = 8
_SEEK_OVERLAP_CHARS = 256


def read_batches(chunks: Iterator[bytes], _options: ReaderOptions) -> Iterator[Item]:
    """Yield each event of each line: of an array, or a single event."""
    return numbered(item for number, text in decoded_lines(chunks) for item in _line_items(number, text))


def _line_items(number: int, text: str) -> Iterator[Item]:
    items = array_items(text) if text.lstrip().startswith("[") else [(text, None)]
    return (Item(number, 1, event, problem=problem) for event, problem in items)


def array_items(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield (text, problem) of each item of the JSON array in `text`.

    >>> list(array_items('[{"a": 1}, {"a" 2}, {"a": 3}]'))
    [('{"a": 1}', None), ('{"a" 2}', 'not JSON'), ('{"a": 3}', None)]
    """
    window = Window(text=text)
    window.peek()
    window.advance(window.position + 1)
    for item in _items_to_bracket(window):
        yield item.text, NOT_JSON if item.problem == CUT_OFF else item.problem
    rest = window.text[window.position :].strip(WHITESPACE)
    if rest:
        yield rest, TEXT_OUTSIDE_ARRAY


def read_array(chunks: Iterator[bytes], _options: ReaderOptions) -> Iterator[Item]:
    """Yield each item of an array, or of several arrays in a row; text outside them is an item with a problem."""
    return numbered(_file_items(Window(chunks)))


def _file_items(window: "Window") -> Iterator[Item]:
    while character := window.peek():
        if character == "[":
            window.advance(window.position + 1)
            yield from _items_to_bracket(window)
        else:
            yield Item(window.line, 1, window.take_line(), problem=TEXT_OUTSIDE_ARRAY)


def _items_to_bracket(window: "Window") -> Iterator[Item]:
    """Yield the items up to the closing bracket, and move past it; a wrong comma is an item with a problem."""
    problem: str | None = None
    comma_line: int | None = 0  # line of the last comma since an item; 0 at the start, None right after an item
    while (character := window.peek()) not in ("", "]"):
        line = window.line
        if character != ",":
            text, problem = window.take()
            yield Item(line, 1, text, problem=problem or ("no comma before this item" if comma_line is None else None))
            comma_line = None
            continue
        window.advance(window.position + 1)
        if comma_line is None:
            comma_line = line
        else:
            yield Item(line, 1, ",", problem=LONE_COMMA)
    if character and comma_line:
        yield Item(comma_line, 1, ",", problem=LONE_COMMA)
    if character:
        window.advance(window.position + 1)
    elif problem != CUT_OFF:
        # An item that is cut off already reports it.
        yield Item(window.line, 1, "", problem=CUT_OFF)


class Window:
    """A sliding window over the text of a file.

    `text` is the part in memory, `position` the next character in it, `line` the line number of that character, and
    `at_end` whether the file ends with `text`.
    """

    def __init__(self, chunks: Iterable[bytes] = (), text: str = "") -> None:
        # surrogateescape keeps invalid bytes: only the item that contains them is rejected.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._chunks = iter(chunks)
        self.text, self.position, self.line, self.at_end = text, 0, 1, False
        self.fill()
        self.text = self.text.removeprefix("\ufeff")

    def fill(self) -> bool:
        """Drop the text before `position` and append up to `WINDOW_CHARS`; return False at the end of the file."""
        self.text, self.position = self.text[self.position :], 0
        before = len(self.text)
        while not self.at_end and len(self.text) < WINDOW_CHARS + before:
            chunk = next(self._chunks, None)
            self.at_end = chunk is None
            self.text += self._decode(chunk or b"", final=self.at_end)
        return len(self.text) > before

    def advance(self, position: int) -> None:
        """Move forward to `position`, counting lines."""
        self.line += self.text.count("\n", self.position, position)
        self.position = position

    def peek(self, separators: str = "") -> str:
        """Skip white space and `separators`; return the character there, or an empty string at the end of the file."""
        while True:
            self.advance(skip_space(self.text, self.position))
            character = self.text[self.position : self.position + 1]
            if character and character in separators:
                self.advance(self.position + 1)
            elif character or not self.fill():
                return character

    def seek(self, pattern: re.Pattern[str]) -> bool:
        """Move past the first match of `pattern`; return False if the rest of the file has none."""
        while True:
            match = pattern.search(self.text, self.position)
            if match:
                self.advance(match.end())
                return True
            # The match may begin before the end of this window.
            self.advance(max(self.position, len(self.text) - _SEEK_OVERLAP_CHARS))
            if not self.fill():
                return False

    def is_at(self, pattern: re.Pattern[str]) -> bool:
        """Return whether `pattern`, of a few characters, matches at `position`."""
        if len(self.text) - self.position < _SEEK_OVERLAP_CHARS:
            self.fill()
        return pattern.match(self.text, self.position) is not None

    def take_character(self) -> str:
        """Return the character at `position`, and move past it."""
        return self._take_to(self.position + 1)

    def take_line(self) -> str:
        """Return the text before the next array or line break, at most about `MAX_VALUE_CHARS`, and move past it."""
        while not (match := _LINE_OR_ARRAY.search(self.text, self.position)):
            if len(self.text) - self.position >= MAX_VALUE_CHARS or not self.fill():
                break
        return self._take_to(match.start() if match else len(self.text)).rstrip(WHITESPACE)

    def take(self) -> tuple[str, str | None]:
        """Return the JSON value at `position` and None, or invalid text and its problem, and move past it."""
        while True:
            try:
                end = value_end(self.text, self.position)
                # A number or a word at the end of the window may continue after it.
                if end < len(self.text) or not self.fill():
                    return self._take_to(end), None
            except json.JSONDecodeError as error:
                # Parsing restarts after each fill, which is quadratic for long values: they take another way.
                if len(self.text) - self.position < WINDOW_CHARS and self.fill():
                    continue
                long_value = self._take_long() if self._is_unfinished(error) else None
                return long_value or self._take_broken()

    def take_document(self) -> tuple[str, str | None]:
        """Like `take`, for a document of which a part is of no use: a broken one ends at its closing bracket."""
        return self._take_long() or self._take_broken()

    def _is_unfinished(self, error: json.JSONDecodeError) -> bool:
        """Return whether the end of the window may be what caused the error."""
        is_near_end = error.pos >= len(self.text) - _NEAR_END_CHARS
        is_nested = self.text[self.position : self.position + 1] in ("{", "[")
        return is_nested and not self.at_end and (is_near_end or error.msg.startswith("Unterminated string"))

    def _take_long(self) -> tuple[str, str | None] | None:
        """Take the value at `position`, longer than the window; None, without moving, if its end cannot be found."""
        brackets = BracketCounter()
        parts, size, line = [], 0, self.line
        while (end := brackets.find_end(self.text, self.position)) is None and not brackets.is_broken:
            # Text beyond the maximum is dropped, but still scanned for the end of the value.
            parts += [self.text[self.position :]] if size < MAX_VALUE_CHARS else []
            size += len(self.text) - self.position
            self.advance(len(self.text))
            if not self.fill():
                return "".join(parts), CUT_OFF
        if end is None:
            # Nothing is lost: the whole text is searched for the next object instead.
            self.text, self.position, self.line = "".join([*parts, self.text[self.position :]]), 0, line
            return None
        parts.append(self._take_to(end))
        text = "".join(parts)
        return (text, None if _is_json(text) else NOT_JSON) if size < MAX_VALUE_CHARS else (text, TOO_LONG)

    def _take_broken(self) -> tuple[str, str]:
        # Before the end of the file, a bracket may belong to the broken item itself.
        match = (_NEXT_OBJECT_OR_END if self.at_end else _NEXT_OBJECT).search(self.text, self.position)
        if match:
            return self._take_to(match.start()).rstrip(WHITESPACE), NOT_JSON
        problem = CUT_OFF if self.at_end else f"{NOT_JSON}; skipped up to the next complete object"
        return self._take_to(len(self.text)), problem

    def _take_to(self, end: int) -> str:
        value = self.text[self.position : end]
        self.advance(end)
        return value


def _is_json(text: str) -> bool:
    try:
        return value_end(text, 0) == len(text)
    except json.JSONDecodeError:
        return False


class BracketCounter:
    r"""Finds the end of a JSON object or array that arrives in pieces, without parsing it.

    A line break inside a string, which JSON does not allow, sets `is_broken`: the end cannot be found then.

    >>> brackets = BracketCounter()
    >>> brackets.find_end('{"a": "}'), brackets.find_end('\\"", "b": []}, 2')
    (None, 13)
    """

    _BRACKET_OR_QUOTE = re.compile(r'["{}\[\]]')
    _STRING_SPECIAL = re.compile(r'["\\\n]')

    def __init__(self) -> None:
        self._depth, self._in_string, self._escaped, self.is_broken = 0, False, False, False

    def find_end(self, text: str, position: int = 0) -> int | None:
        """Return the end of the value in this next piece; None if it continues after the piece, or is broken."""
        # A backslash that ended the previous piece escapes the first character of this one.
        if self._escaped and text:
            position, self._escaped = position + 1, False
        while match := (self._STRING_SPECIAL if self._in_string else self._BRACKET_OR_QUOTE).search(text, position):
            mark, position = match[0], match.end()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                self._escaped = position == len(text)
                position += 1
            elif mark == "\n":
                self.is_broken = True
                return None
            else:
                self._depth += 1 if mark in "{[" else -1
                if not self._depth:
                    return position
        return None
