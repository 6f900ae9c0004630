"""Reads request logs, as recorders and reverse proxies write them: a JSON object per line, the events in its body.

Programs differ in how they name and nest what they log, so each part of a request is looked up under several keys.
HAR shares what does not depend on the file: which requests report events, and what these take from their request.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from analyzer.readers.array import array_items
from analyzer.readers.item import NOT_JSON, WHITESPACE, Item, decoded_lines, numbered, skip_space, value_end

EVENTS_PATH = "/artifacts/events"
CI_HEADER = "x-artifact-client-ci"
INTERACTIVE_HEADER = "x-artifact-client-interactive"

BODY_KEYS = ("body", "request_body")
_URL_KEYS = ("path", "url", "request_uri", "uri")
_METHOD_KEYS = ("method", "request_method")
_TIME_KEYS = ("timestamp", "received_at", "time_iso8601", "time")
_QUERY_KEYS = ("query", "args", "query_string")
_FLAT_HEADERS = {CI_HEADER: "ci", INTERACTIVE_HEADER: "interactive"}

_BODY_NOT_LOGGED = "the request's body was not logged (nginx: raise client_body_buffer_size)"
_BODY_NOT_ARRAY = "the request's body is not a JSON array"
_KEY = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_OBJECT_END = re.compile(r"[ \t\r\n]*\}[ \t\r\n]*")
_STATUS = re.compile(r"[0-9]{1,9}")


class RequestError(ValueError):
    """A logged request is JSON but cannot be read; the message is the reason for its reject."""


def read_requests(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each logged request; requests that report no events are skipped."""
    return numbered(item for number, text in decoded_lines(chunks) for item in _line_items(number, text, renamed))


def _line_items(number: int, text: str, renamed: Mapping[str, str]) -> Iterator[Item]:
    try:
        raw = _object_members(text)
        fields = {renamed.get(key, key): json.loads(value) for key, value in raw.items() if key not in BODY_KEYS}
        body = next((raw[key] for key in BODY_KEYS if key in raw), "")
        body = json.loads(body) if body.startswith('"') else body  # nginx logs the array as a string
        url = _first_text(fields, _URL_KEYS)
        reports_events = is_events_request(_first_text(fields, _METHOD_KEYS), url)
        query, headers = _query(fields, url), _headers(fields)
        context = request_context(query, headers, fields.get("status"), _first(fields, _TIME_KEYS))
    except (ValueError, RecursionError) as error:
        yield Item(number, None, text, problem=str(error) if isinstance(error, RequestError) else NOT_JSON)
        return
    if not any(key in raw for key in BODY_KEYS) and {"sessionId", "hash"} <= fields.keys():
        yield Item(number, None, text, problem="an event where a request is expected")
    elif reports_events:
        yield from body_items(number, body, context)


def _object_members(text: str) -> dict[str, str]:
    """Return the JSON text of each value of an object, by key: rejects quote events as logged, with duplicate keys."""
    members: dict[str, str] = {}
    position = skip_space(text, 0) + 1
    if text[position - 1 : position] != "{":
        raise RequestError("not a JSON object")
    while match := _KEY.match(text, position):
        key, start = json.loads(match[1]), match.end()
        if key in members:
            raise RequestError(f'duplicate key "{key}"')
        end = value_end(text, start)
        members[key], position = text[start:end], skip_space(text, end)
        if text[position : position + 1] != ",":
            break
        position += 1
    if not _OBJECT_END.fullmatch(text, position):
        raise json.JSONDecodeError("expected a member or the end of the object", text, position)
    return members


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((fields[key] for key in keys if fields.get(key) not in (None, "")), None)


def _first_text(fields: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    value = _first(fields, keys)
    return value if isinstance(value, str) else None


def _query(fields: dict[str, Any], url: str | None) -> dict[str, Any]:
    logged = _first(fields, _QUERY_KEYS)
    named = parse_query(f"?{logged.lstrip('?')}") if isinstance(logged, str) else named_values(logged)
    flat = {key: fields[key] for key in ("teamId", "slug") if key in fields}
    return flat | parse_query(url or "") | {key: _first_value(value) for key, value in named.items()}


def _headers(fields: dict[str, Any]) -> dict[str, Any]:
    flat = {header: fields[key] for header, key in _FLAT_HEADERS.items() if key in fields}
    # nginx logs a header as http_x_artifact_client_ci.
    nginx = {key.removeprefix("http_").replace("_", "-"): value for key, value in fields.items()}
    named = named_values(fields.get("headers"))
    return flat | {key.lower(): _first_value(value) for key, value in {**nginx, **named}.items()}


def _first_value(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def named_values(value: Any) -> dict[str, Any]:
    """Return headers or a query by name; empty if `value` is neither an object nor a list.

    A list may consist of pairs, of objects with name and value, of alternating names and values, or of header lines.

    >>> named_values([{"name": "A", "value": "1"}]), named_values([["A", "1"]]), named_values(["A", "1", "B", "2"])
    ({'A': '1'}, {'A': '1'}, {'A': '1', 'B': '2'})
    >>> named_values(["A: 1", "B: 2"]), named_values([{"name": ":authority", "value": "cache.example.com"}])
    ({'A': '1', 'B': '2'}, {':authority': 'cache.example.com'})
    """
    if isinstance(value, dict):
        return value
    entries = value if isinstance(value, list) else []
    if entries and all(isinstance(entry, str) and ": " in entry for entry in entries):
        entries = [entry.split(": ", 1) for entry in entries]
    elif entries and all(isinstance(entry, str) for entry in entries) and len(entries) % 2 == 0:
        entries = [list(pair) for pair in zip(entries[::2], entries[1::2], strict=True)]
    pairs: list[Any] = [[e.get("name"), e.get("value")] if isinstance(e, dict) else e for e in entries]
    is_pairs = all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs)  # noqa: PLR2004
    # The names of HTTP/2 begin with a colon, such as `:path`; no other name has one.
    if not is_pairs or any(set(": ") & set(name[1:]) for name, _ in pairs):
        raise RequestError("headers or query are listed in a way that is not supported")
    return dict(pairs)


def parse_query(url: str) -> dict[str, str]:
    """Return the query of a URL or path: the first value of each key, without empty values."""
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def is_events_request(method: str | None, url: str | None) -> bool:
    """Return whether a request reports events; a method or URL that was not logged counts as matching.

    >>> is_events_request("POST", "/v8/artifacts/events?slug=a"), is_events_request("PUT", "/v8/artifacts/12ab")
    (True, False)
    """
    is_post = (method or "POST").upper() == "POST"
    return is_post and (url is None or urlsplit(url).path.rstrip("/").endswith(EVENTS_PATH))


def request_context(query: Mapping[str, Any], headers: Mapping[str, Any], status: Any, time: Any) -> dict[str, Any]:
    """Return the envelope that a request gives its events, without empty values; `headers` by lower-case name."""
    interactive = headers.get(INTERACTIVE_HEADER)
    context = {
        "timestamp": time,
        "teamId": query.get("teamId"),
        "slug": query.get("slug"),
        "ci": headers.get(CI_HEADER),
        "interactive": int(interactive) if interactive in ("0", "1") else interactive,
        "status": int(status) if isinstance(status, str) and _STATUS.fullmatch(status) else status,
    }
    return {key: value for key, value in context.items() if value not in (None, "", "-")}


def body_items(line: int, body: str, context: dict[str, Any]) -> Iterator[Item]:
    """Yield the events of a request body, the JSON text of an array, each with the context of the request."""
    text = body.strip(WHITESPACE)
    if not text.startswith("["):
        yield Item(line, None, body, context, _BODY_NOT_LOGGED if text in ("", "-", "null") else _BODY_NOT_ARRAY)
        return
    for event, problem in array_items(text):
        yield Item(line, 1, event, context, problem)
