"""What became of a request, from the server's answer or from the way it failed.

What was confirmed is never sent again; what was surely not processed may be; what cannot be known is held.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from analyzer.errors import Message, Option


class Kind(Enum):
    """What is to be done after a request."""

    CONFIRMED = "confirmed"
    NOT_SENT = "not sent"
    THROTTLED = "throttled"
    TOO_BIG = "too big"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request; `words` are the server's, or say how it failed.

    `code` is the API's `error.code`, `UNTRUSTED` or `TIMED_OUT`.
    """

    kind: Kind
    status: int | None = None
    words: str = ""
    code: str = ""
    retry_after_seconds: float | None = None


KINDS = {
    408: Kind.AMBIGUOUS,
    413: Kind.TOO_BIG,
    429: Kind.THROTTLED,
    400: Kind.REFUSED,
    422: Kind.REFUSED,
}


def kind_of(status: int) -> Kind:
    """Return what a status means: of redirects and of all else that is the client's fault, that the run must stop.

    >>> kind_of(202), kind_of(302), kind_of(503)
    (<Kind.CONFIRMED: 'confirmed'>, <Kind.FORBIDDEN: 'forbidden'>, <Kind.AMBIGUOUS: 'ambiguous'>)
    """
    if status in KINDS:
        return KINDS[status]
    if 200 <= status <= 299:  # noqa: PLR2004  (the range of success)
        return Kind.CONFIRMED
    return Kind.FORBIDDEN if 300 <= status <= 499 else Kind.AMBIGUOUS  # noqa: PLR2004  (redirects and client errors)


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for, given as seconds or as a date; None where it is neither.

    >>> seconds_of("120", datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    >>> seconds_of("Thu, 01 Jan 2026 00:01:00 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    60.0
    """
    text = (retry_after or "").strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    date = date_of(text)
    return max(0.0, (date - now).total_seconds()) if date else None


def date_of(text: str | None) -> datetime | None:
    """Return the time of an HTTP date; None where it is none."""
    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


TIMED_OUT = "timed out"
"""The code of a server that did not answer."""

UNTRUSTED = "untrusted certificate"
"""The code of a server whose certificate no known authority has signed."""

API = Option("api")
REMEDIES: dict[str | int, str] = {
    301: Message(API, " must name the server itself: redirects are not followed, as the token would go along"),
    401: Message("the token is not valid: see to ", Option("token")),
    402: "the team's billing needs attention",
    403: "the token may not write to this team, or the team has reached a limit",
    404: Message("there is no such API: check ", API, " and the team"),
    410: Message("the server no longer has this API: check ", API),
    UNTRUSTED: Message(Option("ca_file"), " names the certificate of a private authority"),
    "remote_caching_disabled": "remote caching is disabled: a team owner can turn it on",
    "remote_caching_over_limit": "the team is over its limit: wait, or raise it",
    "remote_caching_paused": "remote caching is paused: resume it in the team's settings",
}


def remedy_of(outcome: Outcome) -> str:
    """Return what to do about an outcome that stops the run."""
    status = 301 if 300 <= (outcome.status or 0) <= 399 else outcome.status  # noqa: PLR2004  (redirects)
    rest = Message("check ", API, ", the team and the token")
    return REMEDIES.get(outcome.code) or REMEDIES.get(status or 0) or rest
