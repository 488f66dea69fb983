"""Patients without their names: salted hashes.

The salt keeps a hash from being undone by trying all patient numbers. It is made once for a user and kept in the cache
folder; `SSL_PLATFORM_SALT` sets one, for groups that agree between machines.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from functools import lru_cache
from pathlib import Path

_LENGTH = 12


def salt_file() -> Path:
    """Where the salt is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "ssl-platform" / "salt"


@lru_cache(maxsize=4)
def _salt(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written whole, then linked exclusively: of several processes that start at once one makes the salt.
    draft = path.with_name(f".salt.{secrets.token_hex(6)}")
    draft.touch(mode=0o600)
    try:
        draft.write_bytes(secrets.token_hex(16).encode())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    return path.read_bytes()


def salted(identity: str) -> str:
    """A stand-in for a patient's identity: equal for equal input, not to be undone without the salt."""
    given = os.environ.get("SSL_PLATFORM_SALT")
    salt = given.encode() if given else _salt(salt_file())
    return hashlib.blake2b(identity.strip().encode(), key=salt[:64], digest_size=_LENGTH // 2).hexdigest()
