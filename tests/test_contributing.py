"""The tour in CONTRIBUTING.md names files and functions that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_path_of_the_tour_exists() -> None:
    paths = set(re.findall(r"`((?:analyzer|tests)/[\w/.]*)`", TEXT))
    assert len(paths) > 30
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_name_that_follows_a_path_is_defined_there() -> None:
    named = re.findall(r"`(analyzer/[\w/.]+\.py)`\s+\(`(\w+)`\)", TEXT)
    named += [(path, name) for name, path in re.findall(r"`(\w+)`\s+(?:in|of)\s+`(analyzer/[\w/.]+\.py)`", TEXT)]
    assert len(named) > 5
    missing = [
        (path, name)
        for path, name in named
        if not re.search(rf"^(?:class |def )?{name}\b", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []


def texts_of(path: Path) -> Iterator[tuple[str, int, str]]:
    """The string literals of a module, without docstrings, with their places."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield path.relative_to(ROOT).as_posix(), node.lineno, node.value


def test_no_message_below_the_command_line_spells_a_flag() -> None:
    """Library messages carry options as data; each front end spells them. Flags of turbo are turbo's own."""
    flag = re.compile(r"(?<![\w(-])--[a-z][\w-]+")
    of_turbo = {"--summarize", "--force", "--cache", "--dry"}
    paths = [path for path in sorted((ROOT / "analyzer").rglob("*.py")) if path.parent.name != "cli"]
    found = [text for path in paths for text in texts_of(path) if set(flag.findall(text[2])) - of_turbo]
    assert found == []
