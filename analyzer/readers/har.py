"""HAR 1.2, what browsers and intercepting proxies save: the POSTs that report events, one after the other."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.readers.array import TOO_LONG, Window
from analyzer.readers.item import CUT_OFF, Item, number_items
from analyzer.readers.requests import (
    PATH,
    UnknownShapeError,
    body_items,
    is_events_request,
    named_values,
    parse_query,
    request_context,
)

METHOD_AND_URL = re.compile(r'"method"\s*:\s*"[A-Z]+"\s*,\s*"url"\s*:\s*"[^"\\]*"')
ENTRIES = re.compile(r'"entries"\s*:\s*\[')


def read_har(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each POST to `…/artifacts/events`."""
    return number_items(_items(Window(chunks)))


def _items(window: Window) -> Iterator[Item]:
    if not window.seek(ENTRIES):
        yield Item(window.line, None, "", problem="a HAR without entries")
        return
    while (found := window.skip(",")) != "]":
        line = window.line
        if not found:
            yield Item(line, None, "", problem=CUT_OFF)
            return
        text, problem = window.take()
        if not problem:
            yield from entry_items(line, text)
        elif problem != TOO_LONG or may_report_events(text):
            yield Item(line, None, redact_entry(text), problem=problem)


def entry_items(line: int, text: str) -> Iterator[Item]:
    """Yield the events of one entry."""
    try:
        entry = json.loads(text)
        request = entry["request"]
        if not is_events_request(request.get("method"), request["url"]):
            return
        query = parse_query(request["url"]) | named_values(request.get("queryString"))
        headers = {key.lower(): value for key, value in named_values(request.get("headers")).items()}
        status = (entry.get("response") or {}).get("status")
        body = _body(request.get("postData") or {})
    except UnknownShapeError as error:
        yield Item(line, None, redact_entry(text), problem=str(error))
        return
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        yield Item(line, None, redact_entry(text), problem="not a HAR entry")
        return
    yield from body_items(line, body, request_context(query, headers, status, entry.get("startedDateTime")))


def redact_entry(text: str) -> str:
    """Return what may be told of an entry that cannot be read: method and URL; its headers may hold a token.

    >>> told('{"request": {"method": "PUT", "url": "/v8/artifacts/1", "headers": [{"name": "authorization"')
    '"method": "PUT", "url": "/v8/artifacts/1"'
    """
    found = METHOD_AND_URL.search(text)
    return found[0] if found else ""


def may_report_events(text: str) -> bool:
    """Tell whether an entry of which only the beginning is known may be a request that reports events."""
    return not METHOD_AND_URL.search(text) or PATH in redact_entry(text)


def _body(data: dict[str, Any]) -> str:
    text = str(data.get("text") or "")
    return base64.b64decode(text).decode() if data.get("encoding") == "base64" else text
