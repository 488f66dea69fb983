"""LZF, the compression of `binary_compressed` PCD files (Lehmann's LibLZF)."""

from __future__ import annotations

from ssl_platform.errors import Unreadable


def decompress(data: bytes, size: int) -> bytes:
    """Undo LZF.

    A control byte below 32 announces that many literal bytes plus one; else its upper three bits hold a length (7: a
    further byte adds to it) and its lower five, with the next byte, how far back the copy lies.

    Args:
        data: compressed.
        size: bytes of the result.

    Raises:
        Unreadable: the data are damaged.
    """
    out = bytearray(size)
    at, to, end = 0, 0, len(data)
    try:
        while at < end:
            control = data[at]
            at += 1
            if control < 32:
                count = control + 1
                out[to : to + count] = data[at : at + count]
                at += count
            else:
                count = control >> 5
                if count == 7:
                    count += data[at]
                    at += 1
                source = to - ((control & 31) << 8) - data[at] - 1
                at += 1
                count += 2
                if source < 0:
                    raise Unreadable("its compressed data are damaged (a copy from before the start)")
                if source + count <= to:
                    out[to : to + count] = out[source : source + count]
                else:  # the copy runs into what it writes: a pattern that repeats
                    pattern = bytes(out[source:to])
                    out[to : to + count] = (pattern * (count // len(pattern) + 1))[:count]
            to += count
    except IndexError:
        raise Unreadable("truncated among its compressed data") from None
    if to != size or len(out) != size:
        raise Unreadable(f"its compressed data hold {to:,} of {size:,} bytes")
    return bytes(out)


def compress(data: bytes) -> bytes:
    """Compress with a table of three-byte prefixes; for files that are written here, speed hardly matters."""
    out, literal, seen = bytearray(), bytearray(), dict[bytes, int]()

    def flush() -> None:
        for start in range(0, len(literal), 32):
            piece = literal[start : start + 32]
            out.append(len(piece) - 1)
            out.extend(piece)
        literal.clear()

    at, end = 0, len(data)
    while at < end:
        prefix = data[at : at + 3]
        source = seen.get(prefix, -1) if len(prefix) == 3 else -1
        if len(prefix) == 3:
            seen[prefix] = at
        if source < 0 or at - source > 8192:
            literal.append(data[at])
            at += 1
            continue
        count, most = 3, min(264, end - at)
        while count < most and data[source + count] == data[at + count]:
            count += 1
        flush()
        back, length = at - source - 1, count - 2
        out += bytes([(length << 5) | (back >> 8)] if length < 7 else [(7 << 5) | (back >> 8), length - 7])
        out.append(back & 255)
        at += count
    flush()
    return bytes(out)
