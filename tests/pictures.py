"""The README's pictures, drawn from the sample data: what a terminal shows, and the head of the page.

`python tests/pictures.py` draws them anew; a test tells where they are not what the program shows today.
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
COMMAND = "analyzer misses sample_data --limit 3"
WIDTH = 108
INK = {"currentColor": "#1b1f24", "var(--first)": "#0072b2", "var(--second)": "#d55e00", "var(--line)": "#d8dee4"}


def on_a_terminal(*arguments: str) -> str:
    """What a terminal shows of a command's answer."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    command = [sys.executable, "-m", "analyzer", *arguments, "--quiet"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(WIDTH)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    parts: list[bytes] = []
    with contextlib.suppress(OSError):  # how a terminal ends
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def terminal() -> str:
    """Draw what a terminal shows."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {COMMAND}", style="bold green"))
    console.print(Text.from_ansi(on_a_terminal(*COMMAND.split()[1:])), no_wrap=True)
    drawn = console.export_svg(title="analyzer", unique_id="terminal")
    return re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->", "", drawn, flags=re.DOTALL)


def report() -> str:
    """Draw the head of the page: its three numbers, and hit rate over time."""
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
    drawn = chart[0].replace("<svg", '<svg x="0" y="90"', 1)
    for name, colour in INK.items():
        drawn = drawn.replace(name, colour)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 100}" font-family="sans-serif"'
        f' fill="#1b1f24"><title>The page of analyzer report</title><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(texts)}{drawn}</svg>\n"
    )


DRAWN = {"terminal.svg": terminal, "report.svg": report}

if __name__ == "__main__":
    for name, draw in DRAWN.items():
        (PICTURES / name).write_text(draw(), encoding="utf-8")
