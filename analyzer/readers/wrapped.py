"""Unwraps logs that stand as text in a field of another log, or behind a prefix, as container runtimes write them.

Docker's `{"log": "…"}`, the payload fields of CloudWatch, Datadog, Loki and Google Cloud, and the prefixes of CRI,
Docker Compose and syslog are unwrapped line by line: line numbers stay those of the file.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from analyzer.readers import requests
from analyzer.readers.item import decoded_lines, parse_strictly

# Docker and CRI split lines at 16 KiB, into pieces of at least this many characters.
MIN_PIECE_CHARS = 4_000
MAX_PREFIX_CHARS = 200
MIN_COMMON_SHARE = 0.9  # of the lines that must have the text that ends their prefix
_ACCESS_START = re.compile(r'\S+ \S+ \S+ \[[^\]]+\] "[A-Z]+ ')
_JSON_START = re.compile(r"\{\s*\"|\[\s*\{")
TIME_KEYS = ("timestamp", "time", "ts", "@timestamp", "_time", "date", "__REALTIME_TIMESTAMP")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_CRI = re.compile(r"\S+ (?:stdout|stderr) ([FP]) (.*)", re.DOTALL)  # P marks a piece of a line, F its last one


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
            prefix, found, rest = text.partition(self._place)
            content = rest if found else None
            if time := _ISO_TIME.match(prefix + found):
                fields = {"timestamp": time[0]}
            if (piece := _CRI.fullmatch(text)) and self._place == "F":
                content = piece[2]
                if piece[1] == "P":
                    self._pieces.append(content)
                    return ""
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
        time = requests.find(fields, TIME_KEYS)
        if time is None or _has_time(value):
            return text.replace("\n", " ")
        if is_event or isinstance(value, list):
            return json.dumps({"timestamp": time, "body": f"[{text}]" if is_event else text})
        # In front of the other members, whose text stays as it is.
        rest = text[1:].lstrip()
        return f'{{"timestamp":{json.dumps(time)}{"" if rest.startswith("}") else ","}{rest}'.replace("\n", " ")


def _has_time(value: Any) -> bool:
    """Return whether an event, some of a list of events, or a request has a time of its own."""
    ones = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) and requests.find(one, requests.PLACES["time"]) is not None for one in ones)


def possible_places(lines: Sequence[str]) -> Iterator[str]:
    """Yield the places at which most of the lines may have content to unwrap, found in the first that has some."""
    places: list[str] = []
    if lines and all(map(_CRI.match, lines)):
        yield "F"
    for line in lines:
        if line.startswith("{"):
            with suppress(ValueError):
                places += _places(parse_strictly(line))
        elif prefix := _prefix(line):
            # The last word before the content, such as `F` of CRI and `|` of Docker Compose, or its last character.
            words = prefix.split()
            places += [words[-1], " ".join(words[-2:]), words[-1][-1]]
        if places:
            break
    is_json = any(line.startswith("{") for line in lines)
    for place in dict.fromkeys(places):
        if is_json or sum(place in line for line in lines) > len(lines) * MIN_COMMON_SHARE:
            yield place


def _prefix(line: str) -> str:
    """Return what stands before JSON, or before a line of an access log; empty if nothing does."""
    start = _JSON_START.search(line) or _ACCESS_START.search(line)
    return line[: start.start()].rstrip() if start and start.start() <= MAX_PREFIX_CHARS else ""


def _places(fields: Any, prefix: str = "") -> Iterator[str]:
    for key, value in fields.items() if isinstance(fields, dict) else ():
        if isinstance(value, str | dict):
            yield prefix + key
        yield from _places(value, f"{prefix}{key}.")
