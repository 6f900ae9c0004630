"""Reads and decompresses files; a damaged one gives everything before the damage."""

import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

READ_BYTES = 1 << 18
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # bytes 2 to 4 of a frame without data; the first is 0x50 to 0x5f
DECOMPRESSORS: dict[str, Callable[[], Any]] = {"gzip": lambda: zlib.decompressobj(wbits=31), "zstd": ZstdDecompressor}


def compression_of(head: bytes) -> str:
    """Return the compression of a file by its first bytes: `gzip`, `zstd` or `none`."""
    if head[1:4] == ZSTD_SKIPPABLE and head[0] >> 4 == 5:  # noqa: PLR2004  (0x50 to 0x5f)
        return "zstd"
    return next((name for name, magic in MAGIC.items() if head.startswith(magic)), "none")


class Stream:
    """A file and its decompressed bytes. Once `chunks` is exhausted, `damage` says why its end is missing, if it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        with path.open("rb") as file:
            self.compression = compression_of(file.read(4))

    def chunks(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in order."""
        with self.path.open("rb") as file:
            raw = iter(lambda: file.read(READ_BYTES), b"")
            yield from raw if self.compression == "none" else self._decompress(raw)

    def head(self, size: int) -> bytes:
        """Return the first `size` decompressed bytes, or fewer."""
        head = b""
        for chunk in self.chunks():
            head += chunk
            if len(head) >= size:
                break
        return head[:size]

    def _decompress(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        decompressor = None
        for data in raw:
            rest = data
            while rest:
                # Zeros after the last member are padding, as in tar archives.
                if decompressor is not None and decompressor.eof and not rest.strip(b"\0"):
                    break
                if decompressor is None or decompressor.eof:
                    decompressor = DECOMPRESSORS[self.compression]()
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
