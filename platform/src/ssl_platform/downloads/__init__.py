"""A public dataset as it was downloaded: which one it is, whether it is whole, and its rows as a manifest."""

from __future__ import annotations

from ssl_platform.downloads.rows import Download, write_rows
from ssl_platform.downloads.tell import tell_dataset
from ssl_platform.downloads.verify import verify_download

__all__ = ["Download", "tell_dataset", "verify_download", "write_rows"]
