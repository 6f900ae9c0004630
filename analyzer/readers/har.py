"""HAR 1.2, what browsers and intercepting proxies save: the POSTs that report events, one after the other."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from analyzer.readers.array import TOO_LONG, Window
from analyzer.readers.item import CUT, Item, numbered
from analyzer.readers.request import PATH, ShapeError, by_name, context_of, is_events_request, items_of_body, query_of

METHOD_AND_URL = re.compile(r'"method"\s*:\s*"[A-Z]+"\s*,\s*"url"\s*:\s*"[^"\\]*"')
ENTRIES = re.compile(r'"entries"\s*:\s*\[')


def items(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each POST to `…/artifacts/events`."""
    return numbered(_items(Window(chunks)))


def _items(window: Window) -> Iterator[Item]:
    if not window.seek(ENTRIES):
        yield Item(window.line, None, "", problem="a HAR without entries")
        return
    while (found := window.skip(",")) != "]":
        line = window.line
        if not found:
            yield Item(line, None, "", problem=CUT)
            return
        text, problem = window.take()
        if not problem:
            yield from of_entry(line, text)
        elif problem != TOO_LONG or may_report(text):
            yield Item(line, None, told(text), problem=problem)


def of_entry(line: int, text: str) -> Iterator[Item]:
    """Yield the events of one entry."""
    try:
        entry = json.loads(text)
        request = entry["request"]
        if not is_events_request(request.get("method"), request["url"]):
            return
        query = query_of(request["url"]) | by_name(request.get("queryString"))
        headers = {key.lower(): value for key, value in by_name(request.get("headers")).items()}
        status = (entry.get("response") or {}).get("status")
        body = _body(request.get("postData") or {})
    except ShapeError as error:
        yield Item(line, None, told(text), problem=str(error))
        return
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        yield Item(line, None, told(text), problem="not a HAR entry")
        return
    yield from items_of_body(line, body, context_of(query, headers, status, entry.get("startedDateTime")))


def told(text: str) -> str:
    """Return what may be told of an entry that cannot be read: method and URL; its headers may hold a token.

    >>> told('{"request": {"method": "PUT", "url": "/v8/artifacts/1", "headers": [{"name": "authorization"')
    '"method": "PUT", "url": "/v8/artifacts/1"'
    """
    found = METHOD_AND_URL.search(text)
    return found[0] if found else ""


def may_report(text: str) -> bool:
    """Tell whether an entry of which only the beginning is known may be a request that reports events."""
    return not METHOD_AND_URL.search(text) or PATH in told(text)


def _body(data: dict[str, Any]) -> str:
    text = str(data.get("text") or "")
    return base64.b64decode(text).decode() if data.get("encoding") == "base64" else text
