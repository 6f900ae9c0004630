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
MAX_PLAIN_BYTES = 1 << 22  # at once: a few bytes may unpack to gigabytes
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # bytes 2 to 4 of a frame without data; the first is 0x50 to 0x5f
DECOMPRESSORS: dict[str, Callable[[], Any]] = {"gzip": lambda: zlib.decompressobj(wbits=31), "zstd": ZstdDecompressor}


def compression_of(head: bytes) -> str:
    """Return the compression of a file by its first bytes: `gzip`, `zstd` or `none`."""
    if head[1:4] == ZSTD_SKIPPABLE and head[0] >> 4 == 5:  # noqa: PLR2004  (0x50 to 0x5f)
        return "zstd"
    return next((name for name, magic in MAGIC.items() if head.startswith(magic)), "none")


class Stream:
    """A file and its decompressed bytes. Once `chunks` is exhausted, `damage` says why its end is missing, if it is.

    The bytes of a small file are kept when its head is read, as they are read several times.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        self._whole: bytes | None = None
        self._damaged_at: int | None = None  # where in the file the piece begins in which decompression failed
        with path.open("rb") as file:
            self.compression = compression_of(file.read(4))

    def chunks(self, max_bytes: int = MAX_PLAIN_BYTES) -> Iterator[bytes]:
        """Yield the decompressed bytes in order, in chunks of at most `max_bytes`."""
        if self._whole is not None:
            yield from (self._whole[at : at + max_bytes] for at in range(0, len(self._whole), max_bytes))
            return
        if self.compression == "none":
            with self.path.open("rb") as file:
                yield from iter(lambda: file.read(min(READ_BYTES, max_bytes)), b"")
            return
        size_bytes, self._damaged_at = 0, None
        for chunk in self._decompress(max_bytes):
            size_bytes += len(chunk)
            yield chunk
        if self._damaged_at is not None:
            for chunk in self._decompress(max_bytes, bytewise_at=self._damaged_at):
                # The first pass has yielded the first `size_bytes` of these already.
                if size_bytes < len(chunk):
                    yield chunk[size_bytes:]
                size_bytes = max(0, size_bytes - len(chunk))

    def head(self, size: int) -> bytes:
        """Return the first `size` decompressed bytes, or fewer."""
        if self._whole is not None:
            return self._whole[:size]
        pieces, length = list[bytes](), 0
        for chunk in self.chunks(size):
            pieces.append(chunk)
            length += len(chunk)
            if length >= size:
                return b"".join(pieces)[:size]
        self._whole = b"".join(pieces)
        return self._whole

    def _decompress(self, max_bytes: int, bytewise_at: int | None = None) -> Iterator[bytes]:
        """Yield decompressed bytes up to the first damage, and set `damage`.

        An error loses all output of the call that raises it. The piece of the file that begins at `bytewise_at` is
        therefore decompressed byte by byte, which gives everything before the damage in it.
        """
        decompressor = None
        for begin, piece in self._pieces(bytewise_at):
            rest = piece
            while rest:
                # Zeros after the last member are padding, as in tar archives.
                if decompressor is not None and decompressor.eof and not rest.strip(b"\0"):
                    break
                if decompressor is None or decompressor.eof:
                    decompressor = DECOMPRESSORS[self.compression]()
                try:
                    yield from _plain_pieces(decompressor, rest, max_bytes)
                except (zlib.error, ZstdError) as error:
                    self.damage, self._damaged_at = f"its {self.compression} data is damaged ({error})", begin
                    return
                rest = decompressor.unused_data if decompressor.eof else b""
        if decompressor is None or not decompressor.eof:
            self.damage = f"its {self.compression} data is cut off"

    def _pieces(self, bytewise_at: int | None) -> Iterator[tuple[int, bytes]]:
        """Yield the file in pieces, and where each begins; the one at `bytewise_at` is split into its bytes."""
        begin = 0
        with self.path.open("rb") as file:
            while data := file.read(READ_BYTES):
                step = 1 if begin == bytewise_at else len(data)
                for place in range(0, len(data), step):
                    yield begin, data[place : place + step]
                begin += len(data)


def _plain_pieces(decompressor: Any, data: bytes, max_bytes: int) -> Iterator[bytes]:
    """Yield what `data` decompresses to, in pieces of at most `max_bytes`."""
    while True:
        plain = decompressor.decompress(data, max_bytes)
        if plain:
            yield plain
        data = getattr(decompressor, "unconsumed_tail", b"")  # of zlib; Zstandard keeps its input
        if decompressor.eof or (len(plain) < max_bytes and not data):
            return
