"""Where prepared data is kept: a folder, or an address that fsspec knows."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from ssl_platform.data.files import replace_file
from ssl_platform.data.upkeep import default_folder
from ssl_platform.errors import ConfigError, DataError


class Place:
    """A folder of files by name, whole or not there.

    Attributes:
        name: as it is written.
        drafts: local folder for what is not finished.
    """

    name: str
    drafts: Path

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        raise NotImplementedError

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        raise NotImplementedError

    def take(self, draft: Path, name: str) -> None:
        """Move a finished local file here."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        raise NotImplementedError

    def bytes(self, name: str) -> int | None:
        """Size of a file, or None where there is none."""
        raise NotImplementedError

    def empty(self) -> bool:
        """Whether nothing is there."""
        raise NotImplementedError

    def free(self) -> int | None:
        """Free bytes, where that is known."""
        raise NotImplementedError


class Folder(Place):
    """A local folder.

    Args:
        path: of it; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.drafts = path, str(path), path / "unfinished"

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        file = self.path / name
        return file.read_bytes() if file.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, atomically."""
        with replace_file(self.path / name) as draft:
            draft.write_bytes(content)

    def take(self, draft: Path, name: str) -> None:
        """Move a finished local file here."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(target)

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        target = self.path / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def bytes(self, name: str) -> int | None:
        """Size of a file, or None where there is none."""
        file = self.path / name
        return file.stat().st_size if file.is_file() else None

    def empty(self) -> bool:
        """Whether nothing is there."""
        return not self.path.exists() or not any(self.path.iterdir())

    def free(self) -> int | None:
        """Free bytes of its disk."""
        folder = self.path
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


class Address(Place):
    """A folder somewhere else.

    Args:
        url: such as `s3://bucket/scans`.

    Raises:
        ConfigError: fsspec, or what it needs for this kind of address, is not installed.
    """

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self.drafts = default_folder() / "unfinished" / hashlib.sha256(self.name.encode()).hexdigest()[:16]
        try:
            import fsspec

            files, root = fsspec.core.url_to_fs(self.name)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url} needs a package that is not installed ({error})") from None
        self._files: Any = files
        self._root = root.rstrip("/")

    def __getstate__(self) -> str:
        return self.name

    def __setstate__(self, url: str) -> None:
        self.__init__(url)  # type: ignore[misc]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        try:
            return bytes(self._files.cat_file(self._at(name)))
        except FileNotFoundError:
            return None

    def piece(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a file."""
        return bytes(self._files.cat_file(self._at(name), start=offset, end=offset + length))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        self._files.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(self._at(name), content)

    def take(self, draft: Path, name: str) -> None:
        """Copy a finished local file there, and remove it here."""
        self._files.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
        self._files.put_file(str(draft), self._at(name))
        draft.unlink()

    def remove(self, name: str) -> None:
        """Remove a file or folder, if it is there."""
        if self._files.exists(self._at(name)):
            self._files.rm(self._at(name), recursive=True)

    def bytes(self, name: str) -> int | None:
        """Size of a file, or None where there is none."""
        try:
            return int(self._files.info(self._at(name))["size"])
        except FileNotFoundError:
            return None

    def empty(self) -> bool:
        """Whether nothing is there."""
        return not self._files.exists(self._root) or not self._files.ls(self._root)

    def free(self) -> int | None:
        """Unknown."""
        return None


def place_of(text: str | Path) -> Place:
    """The place an argument names: a folder, `file://...`, or an address.

    Raises:
        ConfigError: an address of a kind nothing installed knows.
        DataError: a file is there where a folder should be.
    """
    text = str(text)
    if "://" in text and not text.startswith("file://"):
        return Address(text)
    path = Path(text.removeprefix("file://")).expanduser().absolute()
    if path.is_file():
        raise DataError(f"{path} is a file: name a folder")
    return Folder(path)
