"""Text that users write: words that are near to others, and bytes that Python keeps as surrogates, being no UTF-8."""

import re
from collections.abc import Iterable

_SURROGATE = re.compile("[\ud800-\udfff]")


def closest_match(word: str, words: Iterable[str]) -> str | None:
    """Return the word that may have been meant, if one is near.

    >>> nearest("dya", ["day", "week"]), nearest("colour", ["day", "week"])
    ('day', None)
    """
    from difflib import get_close_matches  # noqa: PLC0415  (only where something is wrong)

    return next(iter(get_close_matches(word, list(words), n=1)), None)


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written as UTF-8."""
    return not _SURROGATE.search(text)


def replace_surrogates(text: str) -> str:
    r"""Return a text with a replacement character for each byte that is no UTF-8.

    >>> shown("caf\udce9.ndjson") == "caf\ufffd.ndjson"
    True
    """
    return _SURROGATE.sub("\ufffd", text)
