"""One writer a run folder, without trusting the file system's locks.

The lock is a small file with the writer's token. Its age says whether a writer on another machine still lives; on this
machine the process id does. The writer renews the file at every heartbeat and finds out there when someone else took
over, so that even a race on a network disk ends with one writer.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from pathlib import Path

from ssl_platform.errors import RunFailed, UsageError

NAME = ".writer.json"
STALE_SECONDS = 600.0
"""A writer on another machine that has not renewed its lock for this long is taken for dead."""
RENEW_SECONDS = 30.0


def _process_start(pid: int) -> str:
    """When a process of this machine began (clock ticks since boot), empty when unknown or gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(pid: int, started: str) -> bool:
    """Whether that very process still runs here (a recycled process id has another start)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = _process_start(pid)
    return not started or not now or now == started


class WriterLock:
    """The right to write into a run folder.

    Args:
        folder: the run folder; it must exist.

    Raises:
        UsageError: another living process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.token = secrets.token_hex(8)
        self._renewed = 0.0
        holder = self._read()
        if holder is not None and self._holds(holder):
            raise UsageError(
                f"{folder}: another process writes this run (host {holder.get('host')}, pid {holder.get('pid')}); "
                f"wait for it, stop it, or choose another --run"
            )
        self._write()
        if self._read_token() != self.token:
            raise UsageError(f"{folder}: another process took this run at the same moment; choose another --run")

    def renew(self, now: float | None = None) -> None:
        """Tell others that the writer lives; call often, it acts at most every `RENEW_SECONDS`.

        Raises:
            RunFailed: another process took the folder over.
        """
        now = time.monotonic() if now is None else now
        if now - self._renewed < RENEW_SECONDS:
            return
        if self._read_token() != self.token:
            raise RunFailed(f"{self.path.parent}: another process took this run over; nothing more is written here")
        os.utime(self.path)
        self._renewed = now

    def release(self) -> None:
        """Give the folder back."""
        if self._read_token() == self.token:
            self.path.unlink(missing_ok=True)

    def _holds(self, holder: dict[str, object]) -> bool:
        if holder.get("host") == socket.gethostname():
            pid = int(str(holder.get("pid", 0)))
            return pid != os.getpid() and _alive(pid, str(holder.get("started", "")))
        try:
            return time.time() - self.path.stat().st_mtime < STALE_SECONDS
        except OSError:
            return False

    def _read(self) -> dict[str, object] | None:
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _read_token(self) -> object:
        return (self._read() or {}).get("token")

    def _write(self) -> None:
        me = {
            "token": self.token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _process_start(os.getpid()),
        }
        temporary = self.path.with_name(f"{NAME}.{self.token}")
        temporary.write_text(json.dumps(me))
        temporary.replace(self.path)
        self._renewed = time.monotonic()
