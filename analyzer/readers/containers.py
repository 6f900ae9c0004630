"""Unpacks zip and tar files, such as the artifacts of CI systems, into files of their own."""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import IO

from analyzer.errors import UnreadableError
from analyzer.readers.stream import Stream

# How much a container may unpack to: more than logs do, far less than a bomb.
MAX_RATIO, MIN_LIMIT_BYTES = 200, 1 << 30
MAX_MEMBERS = 100_000
COPY_BYTES = 1 << 20
TAR_MAGIC, TAR_MAGIC_OFFSET = b"ustar", 257
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError, OSError)


def is_container(path: Path) -> bool:
    """Return whether a file is a zip, or a tar that may be compressed."""
    head = Stream(path).head(TAR_MAGIC_OFFSET + len(TAR_MAGIC))
    return head.startswith(ZIP_MAGIC) or head[TAR_MAGIC_OFFSET:] == TAR_MAGIC


def unpack(path: Path, name: str, workspace: Path) -> Iterator[tuple[str, Path]]:
    """Copy each file in a container into `workspace`; yield its name in it, and its path.

    Raises:
        UnreadableError: the container is damaged or encrypted, or unpacks to too much; the files before were yielded.
    """
    left = max(path.stat().st_size * MAX_RATIO, MIN_LIMIT_BYTES)
    try:
        for number, (member, file) in enumerate(_members(path, workspace)):
            if number >= MAX_MEMBERS:
                raise UnreadableError(f"{name}: more than {MAX_MEMBERS:,} files; unpack it, and name the directory")
            with NamedTemporaryFile(dir=workspace, delete=False) as copy:
                while data := file.read(COPY_BYTES):
                    copy.write(data)
                    left -= len(data)
                    if left < 0:
                        raise UnreadableError(f"{name}: {member} unpacks to too much; unpack it, and name the files")
            yield member, Path(copy.name)
    except DAMAGE as error:
        raise UnreadableError(f"{name}: cannot be unpacked ({error}); fetch it again") from None


def _members(path: Path, workspace: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield each file of a container that a directory would have too: hidden ones and links are left out."""
    if Stream(path).head(4) in ZIP_MAGIC:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir() and not _is_hidden(info.filename):
                    with archive.open(info) as file:
                        yield info.filename, file
        return
    with NamedTemporaryFile(dir=workspace) as plain:
        if Stream(path).compression == "none":
            source = path
        else:
            plain.writelines(Stream(path).chunks())
            plain.flush()
            source = Path(plain.name)
        with tarfile.open(source, "r:") as archive_:
            for member in archive_:
                if member.isfile() and not _is_hidden(member.name) and (content := archive_.extractfile(member)):
                    yield member.name, content


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..", ".turbo") for part in PurePosixPath(name).parts)
