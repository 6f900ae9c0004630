"""A JSON array of events a line: bodies of requests, one after the other. A line may also be a single event."""

from collections.abc import Iterator, Mapping

from analyzer.readers.array import of_text
from analyzer.readers.item import Item, lines, numbered


def items(chunks: Iterator[bytes], _renamed: Mapping[str, str]) -> Iterator[Item]:
    """Yield each event of each line."""
    return numbered(item for number, text in lines(chunks) for item in of_line(number, text))


def of_line(number: int, text: str) -> Iterator[Item]:
    """Yield the events of one line."""
    if text.lstrip().startswith("["):
        for event, problem in of_text(text):
            yield Item(number, 1, event, problem=problem)
    else:
        yield Item(number, 1, text)
