"""Prepares the beginning of a file for format detection."""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any

from analyzer.readers.item import decoded_lines

MAX_LINES = 50
BODY_KEYS = ("body", "request_body")
EVENT_KEYS = frozenset({"sessionId", "hash", "source", "event"})
_EMPTY_ARRAY = re.compile(r"\[\s*\]")


class Sample:
    """The first bytes of a file. What is derived from them is computed when a format first asks for it.

    `renamed` gives the schema's name of each column that the file names differently.
    """

    def __init__(self, head: bytes, renamed: Mapping[str, str] = MappingProxyType({})) -> None:
        self.head, self.renamed = head, renamed

    @cached_property
    def is_binary(self) -> bool:
        """Whether the first line holds a NUL byte; JSON with one is still read, and the line rejected."""
        return b"\0" in self.head.split(b"\n", 1)[0] and not self.head.lstrip().startswith((b"{", b"["))

    @cached_property
    def text(self) -> str:
        """The decoded head without leading white space; empty for a binary file."""
        return "" if self.is_binary else self.head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not blank; none for a binary file."""
        lines = () if self.is_binary else islice(decoded_lines([self.head]), MAX_LINES)
        return [line.strip() for _, line in lines]

    @cached_property
    def content(self) -> list[str]:
        """The `lines` that are not an empty array."""
        return [line for line in self.lines if not _EMPTY_ARRAY.fullmatch(line)]

    @property
    def only_empty_arrays(self) -> bool:
        """Whether there are arrays, but nothing in them."""
        return bool(self.lines) and (not self.content or bool(_EMPTY_ARRAY.fullmatch("".join(self.lines))))

    @property
    def starts_with_array(self) -> bool:
        """Whether an array begins in the first line that is not an empty array."""
        return bool(self.content) and self.content[0].startswith("[")

    @cached_property
    def records(self) -> list[Any]:
        """For each line of `content`, its JSON value if that is an event or contains events, else None."""
        return [self._parse_record(line) for line in self.content]

    @property
    def first_record(self) -> Any:
        """The first of `records`: it decides between the formats that have one JSON value per line."""
        return next(filter(None, self.records), None)

    def is_event(self, value: Any) -> bool:
        """Return whether a JSON value is an object with at least two of the keys that every event has."""
        return isinstance(value, dict) and len(EVENT_KEYS & {self.renamed.get(key, key) for key in value}) > 1

    def _parse_record(self, line: str) -> Any:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, list):
            return value if any(map(self.is_event, value)) else None
        # In a file that starts with an array, an object on a line of its own is an item of that array.
        is_record = not self.starts_with_array and (is_request(value) or is_har(value) or self.is_event(value))
        return value if is_record else None


def is_request(value: Any) -> bool:
    """Return whether a JSON value is a logged request with its body."""
    return isinstance(value, dict) and any(key in value for key in BODY_KEYS)


def is_har(value: Any) -> bool:
    """Return whether a JSON value is a complete HAR document."""
    return isinstance(value, dict) and isinstance(value.get("log"), dict) and "entries" in value["log"]
