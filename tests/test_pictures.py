"""The README's pictures show what the program shows today."""

import pytest
from pictures import DRAWN, PICTURES


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_not_stale(name: str) -> None:
    drawn = DRAWN[name]()
    assert drawn == (PICTURES / name).read_text(encoding="utf-8"), "draw it anew: python tests/pictures.py"
    assert "http" not in drawn.replace("http://www.w3.org/", "")
