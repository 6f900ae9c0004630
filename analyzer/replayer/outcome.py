"""Classifies what became of a request, from the server's answer or from the way the request failed.

Confirmed events are never sent again, events that were surely not processed may be, all others are uncertain.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from analyzer.errors import Message, Option


class Kind(Enum):
    """The class of an outcome, which decides what becomes of the events."""

    CONFIRMED = "confirmed"
    NOT_SENT = "not sent"
    THROTTLED = "throttled"
    TOO_BIG = "too big"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    AMBIGUOUS = "ambiguous"


TIMED_OUT = "timed out"
"""The `code` where the server did not answer in time."""

UNTRUSTED = "untrusted certificate"
"""The `code` where no known authority signed the server's certificate."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    `message` is the server's, or says how the request failed. `code` is the API's `error.code`, UNTRUSTED or TIMED_OUT.
    """

    kind: Kind
    status: int | None = None
    message: str = ""
    code: str = ""
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        if not self.status:
            return self.message or "no answer"
        return f"the server answered {self.status}" + (f" ({self.message})" if self.message else "")


KIND_OF_STATUS = {
    400: Kind.REFUSED,
    408: Kind.AMBIGUOUS,
    413: Kind.TOO_BIG,
    422: Kind.REFUSED,
    429: Kind.THROTTLED,
}


def classify_status(status: int) -> Kind:
    """Return the kind of an HTTP status; redirects and the other client errors concern the whole run.

    >>> classify_status(202), classify_status(302), classify_status(503)
    (<Kind.CONFIRMED: 'confirmed'>, <Kind.FORBIDDEN: 'forbidden'>, <Kind.AMBIGUOUS: 'ambiguous'>)
    """
    if status in KIND_OF_STATUS:
        return KIND_OF_STATUS[status]
    if 200 <= status <= 299:  # noqa: PLR2004  (the range of success)
        return Kind.CONFIRMED
    # A 5xx is ambiguous, not refused: a server may record the events first and fail afterwards.
    return Kind.FORBIDDEN if 300 <= status <= 499 else Kind.AMBIGUOUS  # noqa: PLR2004  (redirects and client errors)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, as seconds or as a date; None if it is neither.

    >>> parse_retry_after("120", datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    >>> parse_retry_after("Thu, 01 Jan 2026 00:01:00 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    60.0
    """
    text = (value or "").strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    date = parse_http_date(text)
    return max(0.0, (date - now).total_seconds()) if date else None


def parse_http_date(text: str | None) -> datetime | None:
    """Return the time of an HTTP date header in UTC; None if it is not a date."""
    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


API = Option("api")
REMEDIES: dict[str | int, str] = {
    301: Message(
        API, " must name the final server: redirects are not followed, because they would take the token along"
    ),
    401: Message("the token is not valid: check ", Option("token")),
    402: "the team's billing needs attention",
    403: "the token may not write to this team, or the team has reached a limit",
    404: Message("there is no such API: check ", API, " and the team"),
    410: Message("the server no longer has this API: check ", API),
    UNTRUSTED: Message(Option("ca_file"), " names the certificate of a private authority"),
    "remote_caching_disabled": "remote caching is disabled: a team owner can turn it on",
    "remote_caching_over_limit": "the team is over its limit: wait, or raise it",
    "remote_caching_paused": "remote caching is paused: resume it in the team's settings",
}


def remedy_for(outcome: Outcome) -> str:
    """Return what the user can do about an outcome that stops the run."""
    status = 301 if 300 <= (outcome.status or 0) <= 399 else outcome.status  # noqa: PLR2004  (redirects)
    default = Message("check ", API, ", the team and the token")
    return REMEDIES.get(outcome.code) or REMEDIES.get(status or 0) or default
