"""Looking at MP3 files before they are decoded: libmpg123 takes anything and complains aside."""

from __future__ import annotations

import struct
from pathlib import Path

from ssl_platform.errors import Unreadable

_SEARCHED = 1 << 16  # bytes after the tags within which the first frame must begin
_TOLERANCE = 0.01


def check(path: Path) -> None:
    """Refuse what is not MPEG audio, or ends before its Xing header says.

    Raises:
        Unreadable: either is so.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(10)
        skip = _tag_bytes(start)
        stream.seek(skip)
        head = stream.read(_SEARCHED + 4)
    at = next((i for i in range(len(head) - 3) if _is_frame(head, i)), None)
    if at is None:
        raise Unreadable("not MP3 audio although its name says so: no MPEG frame at its start")
    promised = _promised_bytes(head, at)
    there = size - skip - at
    if promised and there < promised * (1 - _TOLERANCE):
        raise Unreadable(f"truncated: {there:,} of {promised:,} bytes are there")


def _tag_bytes(start: bytes) -> int:
    """Length of an ID3v2 tag at the start (its size is stored in 7 bits a byte)."""
    if len(start) < 10 or start[:3] != b"ID3":
        return 0
    size = 0
    for byte in start[6:10]:
        size = size << 7 | byte & 0x7F
    return size + 10


def _is_frame(data: bytes, at: int) -> bool:
    """Whether four bytes are the header of an MPEG audio frame of layer III with legal fields."""
    a, b, c = data[at : at + 3]
    return a == 0xFF and b & 0xE6 == 0xE2 and b & 0x18 != 0x08 and c & 0xF0 not in (0x00, 0xF0) and c & 0x0C != 0x0C


def _promised_bytes(head: bytes, at: int) -> int:
    """Bytes of the stream by its Xing or Info header; 0 where there is none."""
    window = head[at : at + 200]
    for word in (b"Xing", b"Info"):
        place = window.find(word)
        if place >= 0 and place + 16 <= len(window):
            flags = struct.unpack(">I", window[place + 4 : place + 8])[0]
            field = place + 8 + (4 if flags & 1 else 0)
            return int(struct.unpack(">I", window[field : field + 4])[0]) if flags & 2 else 0
    return 0
