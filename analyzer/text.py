"""Text that comes as bytes, such as arguments and names of files: Python keeps as surrogates what is no UTF-8."""

import re

from analyzer.errors import UsageError
from analyzer.message import Option

_SURROGATE = re.compile("[\ud800-\udfff]")


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written as UTF-8."""
    return not _SURROGATE.search(text)


def shown(text: str) -> str:
    r"""Return a text with a replacement character for each byte that is no UTF-8.

    >>> shown("caf\udce9.ndjson") == "caf\ufffd.ndjson"
    True
    """
    return _SURROGATE.sub("\ufffd", text)


def require_utf8(name: str, *values: str) -> None:
    """Refuse values of an option that no log can hold.

    Raises:
        UsageError: a value is no UTF-8.
    """
    for value in values:
        if not is_utf8(value):
            raise UsageError(Option(name, shown(value)), ": not valid UTF-8, as all text of a log is")
