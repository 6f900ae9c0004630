"""Suggests close matches for misspelled words, and handles text that is not valid UTF-8.

Python decodes file names and arguments that are not UTF-8 into strings with surrogates, which cannot be encoded again.
"""

import re
from collections.abc import Iterable

_SURROGATE = re.compile("[\ud800-\udfff]")


def closest_match(word: str, words: Iterable[str]) -> str | None:
    """Return the most similar of `words`, or None if none is similar to `word`.

    >>> closest_match("dya", ["day", "week"]), closest_match("colour", ["day", "week"])
    ('day', None)
    """
    from difflib import get_close_matches  # noqa: PLC0415  (only needed for an error)

    return next(iter(get_close_matches(word, list(words), n=1)), None)


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8."""
    return not _SURROGATE.search(text)


def replace_surrogates(text: str) -> str:
    r"""Return a text with the replacement character in place of each surrogate.

    >>> replace_surrogates("caf\udce9.ndjson") == "caf\ufffd.ndjson"
    True
    """
    return _SURROGATE.sub("\ufffd", text)


def sql_text(text: str) -> str:
    """Return a text as a literal of SQL, for statements that take no parameters.

    >>> sql_text("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
