"""What a file that is one JSON document says beside events: a run summary of turbo, or an artifact's metadata."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from analyzer.errors import UnreadableError
from analyzer.readers.item import BOM

Document = Callable[[Any], dict[str, Any] | None]
"""A reader of a parsed document: a row for the archive, or None where the document says nothing of a run."""

RUN_NAMESPACE = uuid.UUID("3397a22a-0d9c-5c8f-8561-ee5181abb69a")
"""Of the session that stands for a run whose events are not known: that of the URL https://turborepo.dev/runs."""


def session_of(run: str) -> str:
    """Return the session that stands for a run: the same run has the same one on every machine.

    >>> session_of("3MUc5ZQncAXXinzZ1ZQp2BMN5Nx")
    '2e1e1aee-b6d1-576a-8c99-dcf86046f767'
    """
    return str(uuid.uuid5(RUN_NAMESPACE, run))


def parsed(data: bytes) -> Any:
    """Parse a document.

    Raises:
        UnreadableError: it is cut off, or no JSON; the caller puts the file's name before it.
    """
    try:
        return json.loads(data.removeprefix(BOM))
    except (ValueError, RecursionError) as error:
        if "Extra data" in str(error):
            raise UnreadableError("several JSON documents in one file; a run summary is a file of its own") from None
        raise UnreadableError(f"no whole JSON document ({error}); fetch the file again") from None
