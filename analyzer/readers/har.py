"""Reads HAR 1.2, which browsers and intercepting proxies save: the events in the body of each POST that reports them.

A HAR of a build also holds the artifacts themselves, so entries are taken from a `Window` one at a time.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.readers.array import TOO_LONG, Window
from analyzer.readers.item import CUT_OFF, Item, numbered
from analyzer.readers.requests import (
    EVENTS_PATH,
    RequestError,
    body_items,
    is_events_request,
    named_values,
    parse_query,
    request_context,
)
from analyzer.readers.sample import Sample, is_har

_METHOD_AND_URL = re.compile(r'"method"\s*:\s*"[A-Z]+"\s*,\s*"url"\s*:\s*"[^"\\]*"')
_ENTRIES = re.compile(r'"entries"\s*:\s*\[')


def is_har_log(sample: Sample) -> bool:
    """Return whether a line is a HAR document, or the file begins with one that is longer than the sample."""
    if sample.first_record is not None:
        return is_har(sample.first_record)
    return sample.text.startswith("{") and '"log"' in sample.text and bool(_ENTRIES.search(sample.text))


def read_har(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each POST to `…/artifacts/events`."""
    return numbered(_items(Window(chunks)))


def _items(window: Window) -> Iterator[Item]:
    if not window.seek(_ENTRIES):
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
        if problem != TOO_LONG or not redacted or EVENTS_PATH in redacted:
            yield Item(line, None, redacted, problem=problem)


def _entry_items(line: int, text: str) -> Iterator[Item]:
    try:
        entry = json.loads(text)
        request = entry["request"]
        if not is_events_request(request.get("method"), request["url"]):
            return
        query = parse_query(request["url"]) | named_values(request.get("queryString"))
        headers = {key.lower(): value for key, value in named_values(request.get("headers")).items()}
        status = (entry.get("response") or {}).get("status")
        body = _body(request.get("postData") or {})
    except RequestError as error:
        yield Item(line, None, _redacted(text), problem=str(error))
        return
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        yield Item(line, None, _redacted(text), problem="not a HAR entry")
        return
    yield from body_items(line, body, request_context(query, headers, status, entry.get("startedDateTime")))


def _body(post_data: dict[str, Any]) -> str:
    text = str(post_data.get("text") or "")
    return b64decode(text).decode() if post_data.get("encoding") == "base64" else text


def _redacted(text: str) -> str:
    """Return the method and URL of an entry that cannot be read; its headers may hold a token.

    >>> _redacted('{"request": {"method": "PUT", "url": "/v8/artifacts/1", "headers": [{"name": "authorization"')
    '"method": "PUT", "url": "/v8/artifacts/1"'
    """
    match = _METHOD_AND_URL.search(text)
    return match[0] if match else ""
