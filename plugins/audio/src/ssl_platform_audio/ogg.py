"""Looking at Ogg files before they are decoded: libsndfile takes what is left of one that was cut off."""

from __future__ import annotations

from pathlib import Path

from ssl_platform.errors import Unreadable

SUFFIXES = (".ogg", ".oga", ".opus")
_PAGE = 27 + 255 + 255 * 255  # largest page: header, segment table, segments
_LAST = 0x04  # flag of a stream's last page (RFC 3533)


def check(path: Path) -> None:
    """Refuse a file without the page that ends its stream.

    Raises:
        Unreadable: it was cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(4)
        stream.seek(max(0, size - 2 * _PAGE))
        tail = stream.read()
    if start == b"OggS" and not _ends(tail):
        raise Unreadable("truncated: the page that ends the stream is not there")


def _ends(tail: bytes) -> bool:
    """Whether a whole page with the end-of-stream flag lies in the last bytes of a file."""
    at = tail.rfind(b"OggS")
    while at >= 0:
        header = tail[at : at + 27]
        if len(header) == 27 and header[4] == 0 and header[5] & _LAST:
            table = tail[at + 27 : at + 27 + header[26]]
            if len(table) == header[26] and at + 27 + len(table) + sum(table) <= len(tail):
                return True
        at = tail.rfind(b"OggS", 0, at)
    return False
