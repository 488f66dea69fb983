"""A small look at the whole of a slide: how colourful each place is, from a low level of its pyramid.

Glass is white or grey whatever the lamp, stained tissue is not, so the difference between the largest and the smallest
of red, green and blue (after the glass is made white) tells them apart for any stain.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ssl_platform.data.files import replace_file
from ssl_platform.data.fingerprint import state
from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.slides import Slide

SIDE = 2048
"""Most places along a side."""
_FINEST = 4  # pixels of the finest level to a place, at least
_MOST_PIXELS = 64_000_000  # of a level read whole; larger ones are looked at here and there
_STRIP_PIXELS = 8_000_000
_PROBES = 4096
_PROBE = 32  # pixels along a side of one look
_BRIGHT = 180.0  # glass is at least this bright
_VERSION = 1


def look(slide: Slide) -> np.ndarray:
    """`[h, w]` uint8: colourfulness over the slide, each place the mean of what lies under it.

    A slide without a low level (a flat file of more than 64 million pixels) is looked at in 4096 places.

    Raises:
        Unreadable: it cannot be decoded, or every pixel of it is zero.
    """
    header = slide.header
    step = max(_FINEST, -(-max(header.shape) // SIDE))
    level = max(i for i, factor in enumerate(header.downsamples) if factor <= step or i == 0)
    height, width = header.levels[level]
    if height * width > _MOST_PIXELS:
        small = _probed(slide, level)
    else:
        small = _reduced(slide, level, tuple(max(1, n // step) for n in header.shape))
    if not small.any():
        raise Unreadable("every pixel of its overview is zero: the scan failed, or its tiles are missing")
    return _colourfulness(small)


def _reduced(slide: Slide, level: int, shape: tuple[int, ...]) -> np.ndarray:
    """`[h, w, 3]` uint8: the level averaged into `shape`, a strip at a time."""
    from PIL import Image

    height, width = slide.header.levels[level]
    per_place = height / shape[0]
    rows = max(1, int(_STRIP_PIXELS / width / per_place))  # places of one strip
    strips = []
    for first in range(0, shape[0], rows):
        last = min(first + rows, shape[0])
        top, bottom = int(first * per_place), min(height, int(np.ceil(last * per_place)))
        image = slide.read(level, top, 0, bottom - top, width).whitened().image()
        box = (0.0, first * per_place - top, float(width), min(last * per_place - top, float(bottom - top)))
        strips.append(np.asarray(image.resize((shape[1], last - first), Image.Resampling.BOX, box))[..., :3])
    return np.concatenate(strips)


def _probed(slide: Slide, level: int) -> np.ndarray:
    """`[h, w, 3]` uint8: means of small looks spread over a level that is too large to be read."""
    height, width = slide.header.levels[level]
    step = max(_PROBE, (height * width / _PROBES) ** 0.5)
    shape = (max(1, int(height / step)), max(1, int(width / step)))
    found = np.empty((*shape, 3), dtype=np.uint8)
    for y in range(shape[0]):
        for x in range(shape[1]):
            top = min(height - _PROBE, int((y + 0.5) * height / shape[0]))
            left = min(width - _PROBE, int((x + 0.5) * width / shape[1]))
            region = slide.read(level, top, left, _PROBE, _PROBE)
            known = region.rgb.reshape(-1, 3) if region.present is None else region.rgb[region.present]
            found[y, x] = known.mean(axis=0) if len(known) else 255
    return found


def _colourfulness(rgb: np.ndarray) -> np.ndarray:
    """`[h, w]` uint8 from `[h, w, 3]`: largest minus smallest colour with glass made white, averaged over 3 x 3."""
    from scipy import ndimage

    glass = np.maximum(np.percentile(rgb.reshape(-1, 3), 95, axis=0), _BRIGHT)
    balanced = np.minimum(rgb / glass, 1.0) * 255.0
    spread = balanced.max(axis=2) - balanced.min(axis=2)
    return np.asarray(ndimage.uniform_filter(spread, 3, mode="nearest").round().astype(np.uint8))


# ------------------------------------------------------------------------------------------------------------- on disk
def entry_of(folder: Path, path: Path, file: Path) -> Path:
    """Where the overview of a slide is kept: named by the file's place, size and time of change.

    Args:
        folder: of the cache.
        path: the item, whose size and time of change count.
        file: what is opened.
    """
    facts = [str(path), str(file), *map(str, state(path)), str(_VERSION)]
    name = hashlib.blake2b("\0".join(facts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return folder / "overviews" / name[:2] / f"{name}.npz"


def kept(entry: Path) -> np.ndarray | None:
    """An overview that was kept, or None where there is none or it is damaged."""
    try:
        with np.load(entry, allow_pickle=False) as stored:
            return np.asarray(stored["colour"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def keep(entry: Path, colour: np.ndarray) -> None:
    """Keep an overview, readable by its owner only."""
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replace_file(entry) as draft, draft.open("wb") as file:
        np.savez_compressed(file, colour=colour)
