"""What a run may do, and why it stopped."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of a run. Zero requests a minute means no limit; None means none either."""

    requests_per_minute: float = 30
    concurrency: int = 1
    retries: int = 8
    retry_seconds: float = 300
    max_requests: int | None = None
    max_seconds: float | None = None
    max_uncertain: int = 3
    resend_uncertain: bool = False
    preflight: bool = True


DEFAULT_POLICY = Policy()
"""The bounds where nothing else is said."""

CHUNK_EVENTS, MAX_BYTES = 100, 1 << 20
"""Most events of a request, and most bytes of its body, where nothing else is said."""

MAX_CONCURRENCY = 64
"""Requests at a time, a thread each."""

MAX_REFUSED = 10
"""After so many events refused one after another, events elsewhere are tried."""

MAX_PROBES = 3
"""So many of those refused too mean that not the events are at fault."""


class Stop(Enum):
    """Why a run ended with events unsent."""

    LIMIT = "limit"
    OUTAGE = "outage"
    SYSTEMIC = "systemic"
    FORBIDDEN = "forbidden"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a run ended before its time, in words for its owner."""

    stop: Stop
    words: str
