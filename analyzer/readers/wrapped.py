"""Unwraps logs that stand as text in a field of another log, or behind a prefix, as container runtimes write them.

Docker's `{"log": "…"}`, the payload fields of CloudWatch, Datadog, Loki and Google Cloud, and the prefixes of CRI,
Docker Compose and syslog are unwrapped line by line: line numbers stay those of the file.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from analyzer.readers import requests
from analyzer.readers.item import decoded_lines, parse_strictly

# Docker and CRI split lines at 16 KiB, into pieces of at least this many characters.
MIN_PIECE_CHARS = 4_000
MAX_PREFIX_CHARS = 200
_JSON_START = re.compile(r"\{\s*\"|\[\s*\{")
TIME_KEYS = ("timestamp", "time", "ts", "@timestamp")


class Unwrapper:
    """Unwraps lines; `place` is a path to a field of JSON lines, or the text that ends the prefix of other lines.

    `others` counts the lines that have no such field or prefix.
    """

    def __init__(self, place: str) -> None:
        self._place, self.others = place, 0
        self._pieces: list[str] = []

    def lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield a line for each line of the log, empty where it has no content of its own."""
        number = 0
        for line_number, text in decoded_lines(chunks):
            yield b"\n" * (line_number - number - 1)  # blank lines
            number = line_number
            yield self._unwrap(text).encode("utf-8", "surrogateescape") + b"\n"
        if self._pieces:
            yield "".join(self._pieces).encode("utf-8", "surrogateescape") + b"\n"

    def _unwrap(self, text: str) -> str:
        fields: dict[str, Any] = {}
        if text.startswith("{"):
            try:
                fields = parse_strictly(text)
            except ValueError:
                return text  # rejected as what it is
            content = requests.find(fields, [self._place])
        else:
            _, found, rest = text.partition(self._place)
            content = rest if found else None
        if content is None:
            self.others += 1
            return ""
        return self._complete(content if isinstance(content, str) else json.dumps(content), fields)

    def _complete(self, content: str, fields: dict[str, Any]) -> str:
        """Return the line of a content, once it is complete: a long one arrives in several pieces."""
        content = "".join([*self._pieces, content])
        self._pieces = []
        text = content.strip()
        if not text.startswith(("{", "[")):
            return text.replace("\n", " ")
        try:
            value = parse_strictly(text)
        except ValueError:
            if len(content) >= MIN_PIECE_CHARS and not content.endswith("\n"):
                self._pieces = [content]
                return ""
            return text.replace("\n", " ")
        is_event = isinstance(value, dict) and {"sessionId", "hash"} <= value.keys()
        times = {key: fields[key] for key in TIME_KEYS if key in fields}
        if times and (is_event or isinstance(value, list)) and not _has_time(value):
            return json.dumps({**times, "body": f"[{text}]" if is_event else text})
        return text.replace("\n", " ")


def _has_time(value: Any) -> bool:
    return any(isinstance(one, dict) and "timestamp" in one for one in (value if isinstance(value, list) else [value]))


def possible_places(lines: Sequence[str]) -> Iterator[str]:
    """Yield the places at which the lines may have content to unwrap."""
    for line in lines[:1]:
        if line.startswith("{"):
            try:
                yield from _places(parse_strictly(line))
            except ValueError:
                return
        else:
            # The last word before the JSON, such as `F` of CRI and `|` of Docker Compose.
            start = _JSON_START.search(line)
            words = line[: start.start()].split() if start and start.start() <= MAX_PREFIX_CHARS else []
            yield from (" ".join(words[-count:]) for count in (1, 2) if len(words) >= count)


def _places(fields: Any, prefix: str = "") -> Iterator[str]:
    for key, value in fields.items() if isinstance(fields, dict) else ():
        if isinstance(value, str | dict):
            yield prefix + key
        yield from _places(value, f"{prefix}{key}.")
