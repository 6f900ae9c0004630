"""Draws the README's pictures from the sample data: a command in a terminal, and the top of the HTML report.

`python tests/pictures.py` updates them; a test fails while they differ from the program's output.
"""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / ".github" / "pictures"
COMMAND = "analyzer stats sample_data --by week --since 2026-09-21 --until 2026-11-16"
WIDTH = 108
COLORS = {
    "currentColor": "#1b1f24",
    "var(--series-1)": "#0072b2",
    "var(--series-2)": "#d55e00",
    "var(--border)": "#d8dee4",
    "var(--mark)": "#b3261e",
}


def run_in_terminal(*arguments: str) -> str:
    """Return what a command prints on a pseudo-terminal."""
    controller, terminal_end = pty.openpty()
    fcntl.ioctl(terminal_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    command = [sys.executable, "-m", "analyzer", *arguments, "--quiet"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(WIDTH)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=terminal_end, stderr=subprocess.DEVNULL)
    os.close(terminal_end)
    parts: list[bytes] = []
    with contextlib.suppress(OSError):  # Linux reports the end of a pseudo-terminal as an error
        while part := os.read(controller, 1 << 16):
            parts.append(part)
    os.close(controller)
    assert process.wait() == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def terminal() -> str:
    """Draw a command and its output in a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {COMMAND}", style="bold green"))
    console.print(Text.from_ansi(run_in_terminal(*COMMAND.split()[1:])), no_wrap=True)
    svg = console.export_svg(title="analyzer", unique_id="terminal")
    return re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->", "", svg, flags=re.DOTALL)


def report() -> str:
    """Draw the top of the report: its first three headlines and the chart of the hit rate."""
    command = [sys.executable, "-m", "analyzer", "report", "sample_data", "--format", "html"]
    page = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    cards = re.findall(r"<li>(.*?)<strong>(.*?)</strong>", page)
    chart = re.search(r"<svg[^>]*?width=\"(\d+)\" height=\"(\d+)\".*?</svg>", page, re.DOTALL)
    assert chart
    width, height = int(chart[1]), int(chart[2])
    texts = [
        f'<text x="{20 + place * width // 3}" y="34" font-size="14" fill="#57606a">{escape(label)}</text>'
        f'<text x="{20 + place * width // 3}" y="66" font-size="26" font-weight="bold">{escape(value)}</text>'
        for place, (label, value) in enumerate(cards[:3])
    ]
    svg = chart[0].replace("<svg", '<svg x="0" y="90"', 1)
    for name, color in COLORS.items():
        svg = svg.replace(name, color)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 100}" font-family="sans-serif"'
        f' fill="#1b1f24"><title>The page of analyzer report</title><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(texts)}{svg}</svg>\n"
    )


PICTURE_FUNCTIONS = {"terminal.svg": terminal, "report.svg": report}

if __name__ == "__main__":
    for name, draw_picture in PICTURE_FUNCTIONS.items():
        (PICTURES / name).write_text(draw_picture(), encoding="utf-8")
