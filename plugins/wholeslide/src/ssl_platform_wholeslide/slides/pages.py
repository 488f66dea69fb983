"""The pages of a TIFF, looked at before a library opens it: what libraries pass over or convert without a word."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ssl_platform.errors import Unreadable


def check_tiff(path: Path) -> None:
    """Refuse a TIFF that was cut off, or whose pixels are no 8-bit RGB. No pixel is read.

    Raises:
        Unreadable: says what is wrong.
    """
    import tifffile

    try:
        with _complaints() as said, tifffile.TiffFile(path) as file:
            pages = [file.pages[number] for number in range(len(file.pages))]
            first = file.pages.first
            bits, samples, kind = first.bitspersample, first.samplesperpixel, first.dtype
            reach = max(_reach(page) for page in pages)
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise Unreadable(f"truncated or damaged TIFF: {' '.join(str(error).split())}") from None
    size = path.stat().st_size
    if reach > size:
        raise Unreadable(f"truncated: its tiles reach to byte {reach:,}, the file ends at {size:,}: copy it again")
    if said:
        raise Unreadable(f"truncated or damaged TIFF: {said[0]}: copy it again")
    if bits != 8 or kind is None or kind.kind != "u":
        raise Unreadable(f"its pixels are {kind} of {bits} bits: brightfield slides are 8-bit RGB, convert it")
    if samples not in (3, 4):
        plural = "s" * (samples != 1)
        raise Unreadable(f"it has {samples} channel{plural} where brightfield slides have red, green, blue")


def _reach(page: object) -> int:
    """The last byte of a page's tiles or strips."""
    offsets = np.asarray(getattr(page, "dataoffsets", ()), dtype=np.int64)
    counts = np.asarray(getattr(page, "databytecounts", ()), dtype=np.int64)
    return int((offsets + counts).max()) if len(offsets) and len(offsets) == len(counts) else 0


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile would log as errors, of this thread."""
    import threading

    said: list[str] = []
    own, logger = threading.get_ident(), logging.getLogger("tifffile")

    class Collect(logging.Filter):
        """Takes the errors of this thread out of the log."""

        def filter(self, record: logging.LogRecord) -> bool:
            if record.thread != own or record.levelno < logging.ERROR:
                return True
            said.append(" ".join(record.getMessage().split()))
            return False

    collect = Collect()
    logger.addFilter(collect)
    try:
        yield said
    finally:
        logger.removeFilter(collect)
