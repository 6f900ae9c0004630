"""Reads HAR 1.2, which browsers and intercepting proxies save: the events in the body of each POST that reports them.

A HAR of a build also holds the artifacts themselves, so entries are taken from a `Window` one at a time.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping

from analyzer.readers import requests
from analyzer.readers.array import TOO_LONG, Window
from analyzer.readers.item import CUT_OFF, Item, numbered

_METHOD_AND_URL = re.compile(r'"method"\s*:\s*"[A-Z]+"\s*,\s*"url"\s*:\s*"[^"\\]*"')
ENTRIES = re.compile(r'"entries"\s*:\s*\[')


def read_har(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each POST to `…/artifacts/events`."""
    return numbered(_items(Window(chunks)))


def _items(window: Window) -> Iterator[Item]:
    if not window.seek(ENTRIES):
        yield Item(window.line, None, "", problem="a HAR without entries")
        return
    while (character := window.peek(",")) != "]":
        line = window.line
        if not character:
            yield Item(line, None, "", problem=CUT_OFF)
            return
        text, problem = window.take()
        if not problem:
            yield from _entry_items(line, text)
            continue
        redacted = _redacted(text)
        # A transfer of an artifact that is too long to read loses no events, and is not a reject.
        if problem != TOO_LONG or not redacted or requests.EVENTS_PATH in redacted:
            yield Item(line, None, redacted, problem=problem)


def _entry_items(line: int, text: str) -> Iterator[Item]:
    try:
        entry = json.loads(text)
        request = entry["request"]
        if not requests.is_events_request(request.get("method"), request["url"]):
            return
        query = requests.parse_query(request["url"]) | requests.named_values(request.get("queryString"))
        headers = {key.lower(): value for key, value in requests.named_values(request.get("headers")).items()}
        status = (entry.get("response") or {}).get("status")
        context = requests.request_context(query, headers, status, entry.get("startedDateTime"))
        post_data = request.get("postData") or {}
        text_of_body = str(post_data.get("text") or "")
        body = b64decode(text_of_body).decode() if post_data.get("encoding") == "base64" else text_of_body
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        problem = str(error) if isinstance(error, requests.RequestError) else "not a HAR entry"
        yield Item(line, None, _redacted(text), problem=problem)
        return
    yield from requests.body_items(line, body, context)


def _redacted(text: str) -> str:
    """Return only the method and URL of an entry that cannot be read: its headers may contain a token."""
    match = _METHOD_AND_URL.search(text)
    return match[0] if match else ""
