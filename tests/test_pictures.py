"""The README's pictures show what the program shows today."""

import pytest
from pictures import PICTURE_FUNCTIONS, PICTURES


@pytest.mark.parametrize("name", PICTURE_FUNCTIONS)
def test_a_picture_is_not_stale(name: str) -> None:
    drawn = PICTURE_FUNCTIONS[name]()
    assert drawn == (PICTURES / name).read_text(encoding="utf-8"), "draw it anew: python tests/pictures.py"
    assert "http" not in drawn.replace("http://www.w3.org/", "")
