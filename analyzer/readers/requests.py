"""A request log: a JSON object a line, the events in its body, as recorders and reverse proxies write it."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from analyzer.readers.item import Item, lines, members, numbered
from analyzer.readers.request import (
    CI_HEADER,
    INTERACTIVE_HEADER,
    NO_REQUEST,
    ShapeError,
    by_name,
    context_of,
    is_events_request,
    items_of_body,
    query_of,
    unquoted,
)

BODY_KEYS = ("body", "request_body")
URL_KEYS = ("path", "url", "request_uri", "uri")
TIME_KEYS = ("timestamp", "received_at", "time_iso8601", "time")
QUERY_KEYS = ("query", "args", "query_string")


def items(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each logged request; requests that report no events are passed over."""
    return numbered(item for number, text in lines(chunks) for item in of_line(number, text, renamed))


def of_line(number: int, text: str, renamed: Mapping[str, str] = MappingProxyType({})) -> Iterator[Item]:
    """Yield the events of one logged request."""
    try:
        raw = members(text)
        fields = {renamed.get(key, key): json.loads(value) for key, value in raw.items() if key not in BODY_KEYS}
        body = next((unquoted(raw[key]) for key in BODY_KEYS if key in raw), "")
        url = _text(fields, URL_KEYS)
        wanted = is_events_request(_text(fields, ("method", "request_method")), url)
        context = context_of(_query(fields, url), _headers(fields), fields.get("status"), _first(fields, TIME_KEYS))
    except (ValueError, RecursionError) as error:
        yield Item(number, None, text, problem=_problem(error))
        return
    if not any(key in raw for key in BODY_KEYS) and {"sessionId", "hash"} <= fields.keys():
        yield Item(number, None, text, problem=NO_REQUEST)
    elif wanted:
        yield from items_of_body(number, body, context)


def _problem(error: Exception) -> str:
    told = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    is_known = isinstance(error, ShapeError) or "duplicate" in told
    return told if is_known else "not a JSON object" if told == "not an object" else "not JSON"


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((fields[key] for key in keys if fields.get(key) not in (None, "")), None)


def _text(fields: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    found = _first(fields, keys)
    return found if isinstance(found, str) else None


def _query(fields: dict[str, Any], url: str | None) -> dict[str, Any]:
    query = _first(fields, QUERY_KEYS)
    given = query_of(f"?{query.lstrip('?')}") if isinstance(query, str) else by_name(query)
    first = {key: _first_of(value) for key, value in given.items()}
    flat = {key: fields[key] for key in ("teamId", "slug") if key in fields}
    return flat | query_of(url or "") | first


def _headers(fields: dict[str, Any]) -> dict[str, Any]:
    flat = {key.removeprefix("http_").replace("_", "-"): value for key, value in fields.items()}
    named = {header: fields[key] for header, key in _FLAT if key in fields}
    return named | {key.lower(): _first_of(value) for key, value in {**flat, **by_name(fields.get("headers"))}.items()}


_FLAT = ((CI_HEADER, "ci"), (INTERACTIVE_HEADER, "interactive"))


def _first_of(value: Any) -> Any:
    """Return the first of values that were given several times."""
    return value[0] if isinstance(value, list) and value else value
