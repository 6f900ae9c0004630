"""Where a JSON value ends that is longer than what is read of it at once: brackets are counted outside strings."""

import re

_MARK = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\\n]')


class Bounds:
    """Follows an object or an array through pieces of text.

    `broken` is set where a line ends inside a string, which no JSON does: where the value ends is not known then.

    >>> bounds = Bounds()
    >>> bounds.end_in('{"a": "}'), bounds.end_in('\\\\"", "b": []}, 2')
    (None, 13)
    """

    def __init__(self) -> None:
        self._depth, self._in_string, self._escaped, self.broken = 0, False, False, False

    def end_in(self, text: str, place: int = 0) -> int | None:
        """Return where in this next piece the value ends; None where it goes on behind it, or is broken."""
        place += self._escaped and bool(text)
        self._escaped = self._escaped and not text
        while found := (_IN_STRING if self._in_string else _MARK).search(text, place):
            mark, place = found[0], found.end()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                self._escaped = place == len(text)
                place += 1
            elif mark == "\n":
                self.broken = True
                return None
            else:
                self._depth += 1 if mark in "{[" else -1
                if not self._depth:
                    return place
        return None
