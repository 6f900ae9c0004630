"""Reads HAR 1.2, which browsers and intercepting proxies save: the events in the body of each POST that reports them.

A HAR of a build also holds the artifacts themselves, so entries are taken from a `Window` one at a time.
"""

import json
import re
from collections.abc import Iterator

from analyzer.readers import requests
from analyzer.readers.array import TOO_LONG, Window
from analyzer.readers.item import CUT_OFF, NOT_JSON, OTHER_TRAFFIC, Item, ReaderOptions, numbered, parse_strictly

_METHOD_AND_URL = re.compile(r'"method"\s*:\s*"[A-Z]+"\s*,\s*"url"\s*:\s*"[^"\\]*"')
HAR_START = re.compile(r'\{\s*"log"\s*:')
# The keys that an entry may begin with; no object inside of an entry begins with one of them.
_NEXT_ENTRY = re.compile(r',\s*(?=\{\s*"(startedDateTime|pageref|connection|serverIPAddress|request|cache|_\w+)"\s*:)')
ENTRIES = re.compile(r'"entries"\s*:\s*\[')
_ENTRIES_OR_HAR = re.compile(rf"{ENTRIES.pattern}|(?={HAR_START.pattern})")  # where reading resumes after damage

TEXT_OUTSIDE_HAR = "text outside the HAR"


class _DamageError(Exception):
    """The structure around the entries is damaged; the message is the problem, if it is not reported yet."""


def read_har(chunks: Iterator[bytes], _options: ReaderOptions) -> Iterator[Item]:
    """Yield each event of each POST to `…/artifacts/events`, of one or several HARs."""
    return numbered(_items(Window(chunks)))


def _items(window: Window) -> Iterator[Item]:
    is_first = True
    while character := window.peek():
        line = window.line
        if character == "{" and (is_first or window.is_at(HAR_START)):
            try:
                yield from _document_items(window)
            except _DamageError as damage:
                if damage.args:
                    yield Item(line if is_first else window.line, None, "", problem=str(damage))
                yield from _later_entries(window)
        else:
            text = window.take()[0] if character in '{["' else window.take_line()
            yield Item(line, None, text or window.take_character(), problem=TEXT_OUTSIDE_HAR)
        is_first = False


def _later_entries(window: Window) -> Iterator[Item]:
    """Yield the items of the entries that follow damage, and move to the next HAR: what is between has no structure."""
    while window.seek(_ENTRIES_OR_HAR):
        if window.is_at(HAR_START):
            return
        try:
            yield from _entries_items(window)
        except _DamageError as damage:
            if damage.args:
                yield Item(window.line, None, "", problem=str(damage))
    window.advance(len(window.text))


def _document_items(window: Window) -> Iterator[Item]:
    """Yield the items of `log.entries`, wherever it stands in a document, and move past the document."""
    has_entries = False
    for key in _members(window):
        if key != "log" or window.peek() != "{":
            _skip_value(window)
            continue
        for inner_key in _members(window):
            if inner_key == "entries" and window.peek() == "[":
                window.advance(window.position + 1)
                has_entries = True
                yield from _entries_items(window)
            else:
                _skip_value(window)
    if not has_entries:
        raise _DamageError("a HAR without entries")


def _members(window: Window) -> Iterator[str]:
    """Yield the keys of the object at the window's position, which the caller moves past each value."""
    window.advance(window.position + 1)
    while (character := window.peek(",")) != "}":
        key = _skip_value(window) if character == '"' else ""
        if window.peek() != ":":
            raise _DamageError(NOT_JSON if window.peek() else CUT_OFF)
        window.advance(window.position + 1)
        window.peek()
        yield json.loads(key)
    window.advance(window.position + 1)


def _skip_value(window: Window) -> str:
    """Move past a value, and return its text."""
    text, problem = window.take()
    if problem and problem != TOO_LONG:
        raise _DamageError(problem)
    return text


def _entries_items(window: Window) -> Iterator[Item]:
    """Yield the items of the entries up to the closing bracket, and move past it."""
    while (character := window.peek(",")) != "]":
        line = window.line
        if not character:
            raise _DamageError(CUT_OFF)
        text, problem = window.take()
        if not problem:
            yield from _entry_items(line, text)
            continue
        redacted = _redacted(text)
        if problem != TOO_LONG:
            # The broken entry goes on to where the next one begins: objects in between are parts of it.
            has_next = window.seek(_NEXT_ENTRY)
            is_cut = not has_next and not window.text.rstrip().endswith("}")
            yield Item(line, None, redacted, problem=CUT_OFF if is_cut else NOT_JSON)
            if not has_next:
                raise _DamageError
        # A transfer of an artifact that is too long to read loses no events, and is not a reject.
        elif not redacted or requests.EVENTS_PATH in redacted:
            yield Item(line, None, redacted, problem=problem)
        else:
            yield Item(line, None, "", problem=OTHER_TRAFFIC)
    window.advance(window.position + 1)


def _entry_items(line: int, text: str) -> Iterator[Item]:
    try:
        entry = parse_strictly(text)
        request = entry["request"]
        if not requests.is_events_request(request.get("method"), request["url"]):
            yield Item(line, None, "", problem=OTHER_TRAFFIC)
            return
        query = requests.parse_query(request["url"]) | requests.named_values(request.get("queryString"))
        headers = {key.lower(): value for key, value in requests.named_values(request.get("headers")).items()}
        status = (entry.get("response") or {}).get("status")
        context = requests.request_context(query, headers, status, entry.get("startedDateTime"))
        post_data = request.get("postData") or {}
        body = requests.decode_body(str(post_data.get("text") or ""), is_base64=post_data.get("encoding") == "base64")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        problem = str(error) if isinstance(error, requests.RequestError) else "not a HAR entry"
        yield Item(line, None, _redacted(text), problem=problem)
        return
    yield from requests.body_items(line, body, context, " (save the HAR with content)")


def _redacted(text: str) -> str:
    """Return only the method and URL of an entry that cannot be read: its headers may contain a token."""
    match = _METHOD_AND_URL.search(text)
    return match[0] if match else ""
