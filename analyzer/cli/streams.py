"""Standard streams that were closed before the program began."""

import os
import sys
from pathlib import Path
from typing import TextIO


def reopen() -> None:
    """Let what goes to a closed stream go nowhere, and give its number to no file that is opened later."""
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8", errors="replace")
