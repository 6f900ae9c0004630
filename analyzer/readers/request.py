"""What a logged request says about the events in its body: team, CI, interactive, status and time."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from analyzer.readers.array import of_text
from analyzer.readers.item import SPACE, Item

_STATUS = re.compile(r"[0-9]{1,9}")
PATH = "/artifacts/events"
CI_HEADER = "x-artifact-client-ci"
INTERACTIVE_HEADER = "x-artifact-client-interactive"

NO_REQUEST = "an event where a request is expected"
NO_BODY = "the request's body was not logged (nginx: raise client_body_buffer_size)"
BODY_NO_ARRAY = "the request's body is no JSON array"


def query_of(url: str) -> dict[str, str]:
    """Return the query of a URL or path, the first value of each key.

    >>> query_of("/v8/artifacts/events?slug=acme&teamId=")
    {'slug': 'acme'}
    """
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def by_name(given: Any) -> dict[str, Any]:
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
        raise ShapeError("headers or query are listed in a way that is not known")
    return {str(name): value for name, value in pairs}


def _is_name(found: Any) -> bool:
    return isinstance(found, str) and not set(found) & set(": ")


class ShapeError(ValueError):
    """What a request logs is there, in a shape that is not known."""


def is_events_request(method: str | None, url: str | None) -> bool:
    """Tell whether a request reports events; what is not said is taken to fit.

    >>> is_events_request("POST", "/v8/artifacts/events?slug=a"), is_events_request("PUT", "/v8/artifacts/12ab")
    (True, False)
    """
    return (method or "POST").upper() == "POST" and (url is None or urlsplit(url).path.rstrip("/").endswith(PATH))


def context_of(query: Mapping[str, Any], headers: Mapping[str, Any], status: Any, time: Any) -> dict[str, Any]:
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


def items_of_body(line: int, body: str, context: dict[str, Any]) -> Iterator[Item]:
    """Yield the events of a request's body (JSON text of the array) with the request's context."""
    text = body.strip(SPACE)
    if not text.startswith("["):
        yield Item(line, None, body, context, NO_BODY if text in ("", "-", "null") else BODY_NO_ARRAY)
        return
    for event, problem in of_text(text):
        yield Item(line, 1, event, context, problem)


def unquoted(value: str) -> str:
    """Return the text inside a JSON string; other JSON text as it is.

    >>> unquoted('"[1]"'), unquoted('[1]')
    ('[1]', '[1]')
    """
    return str(json.loads(value)) if value.startswith('"') else value
