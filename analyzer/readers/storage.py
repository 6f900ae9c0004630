"""Stores the files of a lake, in a directory or a bucket. A file is there complete or not at all, and never changes."""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, cast

from analyzer.errors import UnreadableError, UsageError, unreadable_error
from analyzer.readers.objects import is_url, open_store, remote_errors, store_options
from analyzer.text import is_utf8

# Files of up to this size together are downloaded; of larger ones, only what DuckDB reads of them.
MAX_COPIED_BYTES, DOWNLOADS_AT_ONCE = 1 << 26, 16
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # of file systems without

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Storage(Protocol):
    """Files by their names, which are relative and have slashes."""

    root: str  # by which DuckDB names the files, without a slash at the end
    read_bytes: int  # that were downloaded; 0 of a directory

    def names(self, directory: str) -> list[str]:
        """Return the names of all files below a directory, sorted."""

    def read(self, name: str) -> bytes:
        """Return the content of a file."""

    def put(self, name: str, source: Path) -> None:
        """Store a copy of a file."""

    def create(self, name: str, content: bytes) -> bool:
        """Store a file, unless there is one of that name; return whether it was stored."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that are not there are no error."""

    def register(self, connection: Any) -> None:
        """Make DuckDB able to read the files by the paths of `paths`."""

    def paths(self, sizes: Mapping[str, int], workspace: Path) -> list[str]:
        """Return how DuckDB names these files, given with their sizes; copies may be put into `workspace`."""


def open_storage(place: str) -> Storage:
    """Return the storage at a directory or URL, which need not exist yet.

    Raises:
        UsageError: the place is not one for a lake.
        UnreadableError: the URL is not that of a bucket, or a package is missing.
    """
    if not is_url(place):
        if not place or place == "-" or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", place):
            raise UsageError(f"{place!r}: not a place for a lake; name a directory or a bucket (s3://bucket/lake)")
        if not is_utf8(place):
            raise UsageError(f"{place!a}: the name is not valid UTF-8; choose another")
        return LocalStorage(Path(place))
    scheme, _, rest = place.partition("://")
    if set(rest) & set("#?*[]"):
        raise UsageError(f"{place}: a lake in a bucket has none of #?*[] in its name; choose another")
    return BucketStorage(f"{scheme.lower()}://{rest.rstrip('/')}")


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


class LocalStorage:
    """A directory."""

    def __init__(self, directory: Path) -> None:
        self._directory, self.root, self.read_bytes = directory, str(directory.absolute()), 0

    def names(self, directory: str) -> list[str]:
        """Return the names of all files below a directory, sorted."""
        found = []
        with self._errors():
            for root, directories, names in os.walk(self._directory / directory, onerror=_raise_unless_missing):
                directories[:] = [name for name in directories if not name.startswith(".")]
                paths = (Path(root, name).relative_to(self._directory) for name in names if not name.startswith("."))
                found += [path.as_posix() for path in paths]
        return sorted(found)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with self._errors():
            return (self._directory / name).read_bytes()

    def put(self, name: str, source: Path) -> None:
        """Store a copy of a file."""
        with self._errors(), self._part(name) as part:
            shutil.copyfile(source, part)
            part.replace(self._directory / name)

    def create(self, name: str, content: bytes) -> bool:
        """Store a file, unless there is one of that name; return whether it was stored."""
        with self._errors(), self._part(name) as part:
            part.write_bytes(content)
            try:
                (self._directory / name).hardlink_to(part)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in NO_HARD_LINKS:
                    raise
                return self._create_exclusively(self._directory / name, part)
            return True

    def _create_exclusively(self, target: Path, part: Path) -> bool:
        # Without hard links, the name is claimed by an empty file, which exists for a moment.
        try:
            target.open("xb").close()
        except FileExistsError:
            return False
        part.replace(target)
        return True

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, and the directories that are empty then."""
        with self._errors():
            for name in names:
                (self._directory / name).unlink(missing_ok=True)
                with suppress(OSError):  # a directory that is not empty
                    for parent in PurePosixPath(name).parents[:-1]:
                        (self._directory / parent).rmdir()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unreadable_error(self.root, error) from None

    def register(self, connection: Any) -> None:
        """Do nothing: DuckDB reads files of the machine."""

    def paths(self, sizes: Mapping[str, int], workspace: Path) -> list[str]:  # noqa: ARG002  (for buckets)
        """Return how DuckDB names these files."""
        return [f"{self.root}/{name}" for name in sizes]

    @contextmanager
    def _part(self, name: str) -> Iterator[Path]:
        target = self._directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}-{os.urandom(4).hex()}.part")
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


class BucketStorage:
    """A part of a bucket."""

    def __init__(self, url: str) -> None:
        self.root, self.read_bytes = url, 0
        self._sizes: dict[str, int] = {}
        self._store: ObjectStore
        self._store, _, key = open_store(url)
        if key is None:
            raise UnreadableError(f"{url}: a web server cannot be listed; name a bucket or a directory")
        self._prefix = f"{key}/" if key else ""

    def names(self, directory: str) -> list[str]:
        """Return the names of all files below a directory, sorted."""
        import obstore  # noqa: PLC0415  (only for buckets)

        with remote_errors(self.root):
            batches = obstore.list(self._store, prefix=f"{self._prefix}{directory}")
            # Of an empty object that stands for a directory, nothing is left.
            names = (meta["path"].removeprefix(self._prefix) for batch in batches for meta in batch if meta["size"])
            return sorted(name for name in names if not name.startswith("."))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        import obstore  # noqa: PLC0415

        with remote_errors(f"{self.root}/{name}"):
            return bytes(obstore.get(self._store, self._prefix + name).bytes())

    def put(self, name: str, source: Path) -> None:
        """Store a copy of a file."""
        import obstore  # noqa: PLC0415

        with remote_errors(f"{self.root}/{name}"):
            obstore.put(self._store, self._prefix + name, source)

    def create(self, name: str, content: bytes) -> bool:
        """Store a file, unless there is one of that name; return whether it was stored."""
        import obstore  # noqa: PLC0415

        with remote_errors(f"{self.root}/{name}"):
            try:
                obstore.put(self._store, self._prefix + name, content, mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return False
            return True

    def delete(self, names: Iterable[str]) -> None:
        """Delete files."""
        import obstore  # noqa: PLC0415

        paths = [self._prefix + name for name in names]
        with remote_errors(self.root), suppress(FileNotFoundError):
            if paths:
                obstore.delete(self._store, paths)

    def register(self, connection: Any) -> None:
        """Register a file system for the scheme of the URL."""
        from obstore.fsspec import BufferedFile, FsspecStore  # noqa: PLC0415

        storage, scheme = self, cast("Any", self.root.partition("://")[0])

        class LakeFiles(FsspecStore):
            """Answers without a request what is known of a file: DuckDB asks for each several times."""

            def glob(self, path: str, *_: Any, **__: Any) -> list[str]:
                return [path] if storage.size_of(path) is not None else []

            def exists(self, path: str, **_: Any) -> bool:
                return storage.size_of(path) is not None

            def info(self, path: str, **_: Any) -> dict[str, Any]:
                return {"name": path, "size": storage.size_of(path), "type": "file"}

            def modified(self, path: str) -> datetime:  # noqa: ARG002  (no file ever is)
                return datetime.fromtimestamp(0, UTC)

            def _open(self, path: str, mode: Any = "rb", *_: Any, **__: Any) -> BufferedFile:
                return CountedFile(self, path, mode)

        class CountedFile(BufferedFile):
            def read(self, length: int = -1) -> bytes:
                data = super().read(length)
                storage.read_bytes += len(data)
                return data

        connection.register_filesystem(LakeFiles(scheme, **store_options(self.root)))

    def paths(self, sizes: Mapping[str, int], workspace: Path) -> list[str]:
        """Return how DuckDB names these files. Unless they are large together, they are downloaded at once."""
        if sum(sizes.values()) > MAX_COPIED_BYTES:
            self._sizes |= sizes
            return [f"{self.root}/{name}" for name in sizes]
        copies = {name: workspace / name for name in sizes}
        missing = [name for name, copy in copies.items() if not copy.exists()]
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            list(pool.map(self._download, missing, [copies[name] for name in missing]))
        self.read_bytes += sum(sizes[name] for name in missing)
        return [str(copy) for copy in copies.values()]

    def size_of(self, path: str) -> int | None:
        """Return the size of a file that DuckDB reads by its URL, given with or without the scheme."""
        root = self.root.partition("://")[2]
        return self._sizes.get(path.rpartition("://")[2].removeprefix(f"{root}/"))

    def _download(self, name: str, copy: Path) -> None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(self.read(name))
