"""`<hash>-meta.json`, which turbo keeps beside each artifact in its local cache: how long the artifact took to make."""

import re
from typing import Any

from analyzer.errors import UnreadableError

MOST = 2.0**52
_OBJECT = re.compile(rb"\s*\{[^{}]*\}\s*")
_KEYS = (b'"hash"', b'"duration"')


def shows(head: bytes) -> bool:
    """Tell whether a file is such metadata: one flat object.

    >>> shows(b'{"hash":"0ba89839d91df5f6","duration":789}')
    True
    """
    return _OBJECT.fullmatch(head) is not None and all(key in head for key in _KEYS) and b'"sessionId"' not in head


def document(found: Any) -> dict[str, Any] | None:
    """Return the hash and its duration; 0 means unknown.

    Raises:
        UnreadableError: it is no such metadata.
    """
    fields = found if isinstance(found, dict) else {}
    artifact, duration_ms = fields.get("hash"), fields.get("duration")
    sound = isinstance(duration_ms, int | float) and not isinstance(duration_ms, bool) and abs(duration_ms) < MOST
    if not isinstance(artifact, str) or not sound:
        raise UnreadableError("no metadata of an artifact: hash is a string and duration a number there")
    return {"hash": artifact.encode("utf-8", "replace").decode(), "duration_ms": duration_ms}
