"""A request log: a JSON object a line, the events in its body, as recorders and reverse proxies write it."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from analyzer.readers.array import array_items
from analyzer.readers.item import WHITESPACE, Item, decoded_lines, number_items, object_members

PATH = "/artifacts/events"


CI_HEADER = "x-artifact-client-ci"


INTERACTIVE_HEADER = "x-artifact-client-interactive"


BODY_KEYS = ("body", "request_body")
URL_KEYS = ("path", "url", "request_uri", "uri")
TIME_KEYS = ("timestamp", "received_at", "time_iso8601", "time")
QUERY_KEYS = ("query", "args", "query_string")


def read_requests(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each logged request; requests that report no events are passed over."""
    return number_items(
        item for number, text in decoded_lines(chunks) for item in request_line_items(number, text, renamed)
    )


def request_line_items(number: int, text: str, renamed: Mapping[str, str] = MappingProxyType({})) -> Iterator[Item]:
    """Yield the events of one logged request."""
    try:
        raw = object_members(text)
        fields = {renamed.get(key, key): json.loads(value) for key, value in raw.items() if key not in BODY_KEYS}
        body = next((unquoted(raw[key]) for key in BODY_KEYS if key in raw), "")
        url = _text(fields, URL_KEYS)
        wanted = is_events_request(_text(fields, ("method", "request_method")), url)
        context = request_context(
            _query(fields, url), _headers(fields), fields.get("status"), _first(fields, TIME_KEYS)
        )
    except (ValueError, RecursionError) as error:
        yield Item(number, None, text, problem=_problem(error))
        return
    if not any(key in raw for key in BODY_KEYS) and {"sessionId", "hash"} <= fields.keys():
        yield Item(number, None, text, problem=EVENT_NOT_REQUEST)
    elif wanted:
        yield from body_items(number, body, context)


def _problem(error: Exception) -> str:
    told = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    is_known = isinstance(error, UnknownShapeError) or "duplicate" in told
    return told if is_known else "not a JSON object" if told == "not an object" else "not JSON"


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((fields[key] for key in keys if fields.get(key) not in (None, "")), None)


def _text(fields: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    found = _first(fields, keys)
    return found if isinstance(found, str) else None


def _query(fields: dict[str, Any], url: str | None) -> dict[str, Any]:
    query = _first(fields, QUERY_KEYS)
    given = parse_query(f"?{query.lstrip('?')}") if isinstance(query, str) else named_values(query)
    first = {key: _first_of(value) for key, value in given.items()}
    flat = {key: fields[key] for key in ("teamId", "slug") if key in fields}
    return flat | parse_query(url or "") | first


def _headers(fields: dict[str, Any]) -> dict[str, Any]:
    flat = {key.removeprefix("http_").replace("_", "-"): value for key, value in fields.items()}
    named = {header: fields[key] for header, key in _FLAT if key in fields}
    return named | {
        key.lower(): _first_of(value) for key, value in {**flat, **named_values(fields.get("headers"))}.items()
    }


_FLAT = ((CI_HEADER, "ci"), (INTERACTIVE_HEADER, "interactive"))


def _first_of(value: Any) -> Any:
    """Return the first of values that were given several times."""
    return value[0] if isinstance(value, list) and value else value


_STATUS = re.compile(r"[0-9]{1,9}")

EVENT_NOT_REQUEST = "an event where a request is expected"
BODY_NOT_LOGGED = "the request's body was not logged (nginx: raise client_body_buffer_size)"
BODY_NOT_ARRAY = "the request's body is no JSON array"


def parse_query(url: str) -> dict[str, str]:
    """Return the query of a URL or path, the first value of each key.

    >>> query_of("/v8/artifacts/events?slug=acme&teamId=")
    {'slug': 'acme'}
    """
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def named_values(given: Any) -> dict[str, Any]:
    """Return headers or a query by name: from an object, pairs, objects of name and value, or names and values in turn.

    What is no list is none.

    Raises:
        ShapeError: they are listed otherwise.

    >>> by_name([{"name": "A", "value": "1"}]), by_name([["A", "1"], ["B", "2"]]), by_name(["A", "1", "B", "2"])
    ({'A': '1'}, {'A': '1', 'B': '2'}, {'A': '1', 'B': '2'})
    """
    if isinstance(given, dict):
        return given
    listed = given if isinstance(given, list) else []
    if listed and all(isinstance(one, str) for one in listed) and len(listed) % 2 == 0:
        listed = [list(pair) for pair in zip(listed[::2], listed[1::2], strict=True)]
    pairs = [[one.get("name"), one.get("value")] if isinstance(one, dict) else one for one in listed]
    if not all(isinstance(pair, list) and len(pair) == 2 and _is_name(pair[0]) for pair in pairs):  # noqa: PLR2004  (a pair)
        raise UnknownShapeError("headers or query are listed in a way that is not known")
    return {str(name): value for name, value in pairs}


def _is_name(found: Any) -> bool:
    return isinstance(found, str) and not set(found) & set(": ")


class UnknownShapeError(ValueError):
    """What a request logs is there, in a shape that is not known."""


def is_events_request(method: str | None, url: str | None) -> bool:
    """Tell whether a request reports events; what is not said is taken to fit.

    >>> is_events_request("POST", "/v8/artifacts/events?slug=a"), is_events_request("PUT", "/v8/artifacts/12ab")
    (True, False)
    """
    return (method or "POST").upper() == "POST" and (url is None or urlsplit(url).path.rstrip("/").endswith(PATH))


def request_context(query: Mapping[str, Any], headers: Mapping[str, Any], status: Any, time: Any) -> dict[str, Any]:
    """Return the envelope a request gives its events; header names in lower case; empty values are left out."""
    interactive = headers.get(INTERACTIVE_HEADER)
    found = {
        "timestamp": time,
        "teamId": query.get("teamId"),
        "slug": query.get("slug"),
        "ci": headers.get(CI_HEADER),
        "interactive": int(interactive) if interactive in ("0", "1") else interactive,
        "status": int(status) if isinstance(status, str) and _STATUS.fullmatch(status) else status,
    }
    return {key: value for key, value in found.items() if value not in (None, "", "-")}


def body_items(line: int, body: str, context: dict[str, Any]) -> Iterator[Item]:
    """Yield the events of a request's body (JSON text of the array) with the request's context."""
    text = body.strip(WHITESPACE)
    if not text.startswith("["):
        yield Item(line, None, body, context, BODY_NOT_LOGGED if text in ("", "-", "null") else BODY_NOT_ARRAY)
        return
    for event, problem in array_items(text):
        yield Item(line, 1, event, context, problem)


def unquoted(value: str) -> str:
    """Return the text inside a JSON string; other JSON text as it is.

    >>> unquoted('"[1]"'), unquoted('[1]')
    ('[1]', '[1]')
    """
    return str(json.loads(value)) if value.startswith('"') else value
