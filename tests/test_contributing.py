"""The tour in CONTRIBUTING.md names files and functions that exist."""

import re
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


def test_no_text_below_the_command_line_spells_a_flag() -> None:
    """Library messages carry options as data; each front end spells them."""
    flag = re.compile(r"(?<![\w-])--[a-z][\w-]+")
    allowed = re.compile(r"turbo|--summarize|--force|--cache|--dry|-vv")
    found = [
        (path.relative_to(ROOT).as_posix(), line.strip())
        for path in sorted((ROOT / "analyzer").rglob("*.py"))
        if path.parts[-2] != "cli"
        for line in path.read_text().splitlines()
        if flag.search(line) and not allowed.search(line) and not line.strip().startswith("#")
    ]
    assert found == []
