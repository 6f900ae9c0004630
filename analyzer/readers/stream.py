"""The plain bytes of a file, whatever its compression; a damaged end gives all before it and says so."""

import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

READ_BYTES = 1 << 18
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
SKIPPABLE = b"\x2a\x4d\x18"
"""What follows the first byte of a zstd frame that holds no data."""

DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "zstd": ZstdDecompressor,
}


def compression_of(head: bytes) -> str:
    """Name the compression that a file's first bytes show: `gzip`, `zstd` or `none`.

    >>> compression_of(b"\\x1f\\x8b\\x08"), compression_of(b'{"sessionId"')
    ('gzip', 'none')
    """
    if head[1:4] == SKIPPABLE and head[0] >> 4 == 5:  # noqa: PLR2004  (0x50 to 0x5f)
        return "zstd"
    return next((name for name, magic in MAGIC.items() if head.startswith(magic)), "none")


@dataclass
class Stream:
    """A file's plain bytes. After `chunks` is exhausted, `damage` says why the end is missing, if it is.

    `members` counts the gzip members or zstd frames: DuckDB is only trusted with one.
    """

    path: Path
    compression: str = field(init=False)
    damage: str | None = None
    members: int = 0

    def __post_init__(self) -> None:
        with self.path.open("rb") as file:
            self.compression = compression_of(file.read(4))

    def chunks(self) -> Iterator[bytes]:
        """Yield the plain bytes in order."""
        with self.path.open("rb") as file:
            raw = iter(lambda: file.read(READ_BYTES), b"")
            yield from raw if self.compression == "none" else self._decompressed(raw)

    def _decompressed(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        decompressor = None
        for data in raw:
            rest = data
            while rest:
                if decompressor is not None and decompressor.eof and not rest.strip(b"\0"):
                    break
                if decompressor is None or decompressor.eof:
                    decompressor = DECOMPRESSORS[self.compression]()
                    self.members += 1
                try:
                    plain = decompressor.decompress(rest)
                except (zlib.error, ZstdError) as error:
                    self.damage = f"its {self.compression} data is damaged ({error})"
                    return
                if plain:
                    yield plain
                rest = decompressor.unused_data if decompressor.eof else b""
        if decompressor is None or not decompressor.eof:
            self.damage = f"its {self.compression} data is cut off"

    def head(self, size: int) -> bytes:
        """Return the first `size` plain bytes, or fewer."""
        parts: list[bytes] = []
        for chunk in self.chunks():
            parts.append(chunk)
            if sum(map(len, parts)) >= size:
                break
        return b"".join(parts)[:size]
