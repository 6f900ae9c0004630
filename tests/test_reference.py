"""REFERENCE.md has what `python tests/reference.py` writes, and its links lead somewhere."""

import re

import reference


def test_the_generated_parts_are_up_to_date() -> None:
    text = reference.REFERENCE.read_text()
    blocks = [name for _, name, _ in reference.BLOCK.findall(text)]
    assert sorted(blocks) == sorted(reference.BLOCKS)
    assert reference.generated(text) == text, "run: python tests/reference.py"


def test_links_within_the_reference_have_a_heading() -> None:
    text = reference.FENCED.sub("", reference.REFERENCE.read_text())
    headings = {reference.anchor(title) for _, title in reference.HEADING.findall(text)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_each_command_has_a_heading() -> None:
    text = reference.REFERENCE.read_text()
    for names in reference.all_commands():
        assert f"### `analyzer {' '.join(names)}`\n" in text
