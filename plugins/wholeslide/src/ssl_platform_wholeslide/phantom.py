"""Built-in sample data: a labelled set of synthetic stained sections, as real pyramidal TIFF files.

Each slide shows a piece of tissue with lumina on glass, stained with haematoxylin and eosin. Nuclei lie in palisades,
and a slide is labelled with **how far apart the palisades are**: `dense`, `medium`, `loose` or `sparse`. Everything
easier to read is drawn apart from the label: direction of the palisades, contrast, colour and amount of each stain,
outline and size of the tissue, lumina, the scanner's microns a pixel and its levels. Within the tissue the amounts of
stain of every class have one and the same histogram, by construction: they are replaced by their ranks. So mean colour,
spread and histogram tell nothing of the class; how pixels lie next to each other does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import Planned, plan_groups, write_once
from ssl_platform_wholeslide.views import STAINS
from ssl_platform_wholeslide.writing import write_tiff

CLASSES = ("dense", "medium", "loose", "sparse")
MPP = 0.5
"""Microns a pixel the sections are drawn at."""
_PALISADES = {"dense": 8.0, "medium": 12.5, "loose": 19.0, "sparse": 29.0}  # um from one to the next
_SIDES = (320, 336, 352, 368)
# Microns a pixel of the scanners, with the levels they write.
_SCANNERS = ((0.5, (1, 4)), (0.25, (1, 2, 8)), (0.25, (1, 4)), (0.4, (1, 2, 4)))
_VERSION = 3


def write_sample_set(folder: Path, seed: int = 0, items: int = 192) -> Path:
    """Write the set unless it is there already.

    Args:
        folder: gets `slides/` and `manifest.csv`.
        seed: of everything drawn.
        items: slides; patients have one or two, all classes are equally frequent.

    Returns:
        path of the manifest (columns path, label, group, split).
    """

    def write() -> list[dict[str, str]]:
        plan = plan_groups(CLASSES, items, np.random.default_rng([seed, 1]), train=0.5, val=0.25)
        return [_write_item(folder, seed, at, planned) for at, planned in enumerate(plan)]

    return write_once(folder, {"version": _VERSION, "seed": seed, "items": items}, write)


def _write_item(folder: Path, seed: int, at: int, planned: Planned) -> dict[str, str]:
    from PIL import Image

    rng = np.random.default_rng([seed, 2, at])
    rgb = make_section(planned.label, rng)
    mpp, steps = _SCANNERS[int(rng.integers(len(_SCANNERS)))]
    if mpp != MPP:
        size = tuple(round(n * MPP / mpp) for n in rgb.shape[1::-1])
        rgb = np.asarray(Image.fromarray(rgb).resize((size[0], size[1]), Image.Resampling.BICUBIC))
    name = f"slides/section_{at:03d}.tif"
    draft = folder / f"{name}.tmp"
    write_tiff(draft, rgb, mpp, steps, tile=128).replace(folder / name)
    return {"path": name, "label": planned.label, "group": f"P{planned.group:03d}", "split": planned.split}


def make_section(label: str, rng: np.random.Generator) -> np.ndarray:
    """One section at 0.5 um a pixel: `[h, w, 3]` uint8."""
    shape = (int(rng.choice(_SIDES)), int(rng.choice(_SIDES)))
    inside = _outline(shape, rng)
    ranks = np.zeros(shape, dtype=np.float32)
    ranks[inside] = _ranks(_palisades(shape, label, rng)[inside])
    # Haematoxylin gathers in the palisades, eosin between them.
    nuclei = ranks**2 * (3.0 - 2.0 * ranks)
    amounts = np.zeros((*shape, 2), dtype=np.float32)
    amounts[..., 0] = inside * (rng.uniform(0.15, 0.35) + rng.uniform(0.35, 1.1) * nuclei)
    amounts[..., 1] = inside * (rng.uniform(0.15, 0.35) + rng.uniform(0.1, 0.5) * (1.0 - nuclei))
    stains = np.array(STAINS[:2]) + rng.normal(0.0, 0.03, (2, 3))
    lamp = rng.uniform(236.0, 250.0) + rng.uniform(-3.0, 3.0, 3)
    light = lamp * np.exp(-(amounts @ stains.clip(0.02).astype(np.float32)))
    light += rng.standard_normal(shape, dtype=np.float32)[..., None]
    return np.asarray(light.clip(0, 255).round().astype(np.uint8))


def _palisades(shape: tuple[int, int], label: str, rng: np.random.Generator) -> np.ndarray:
    """Layers at the distance of a class, facing any way, gently bent: `[h, w]` in `[-1, 1]`."""
    facing = rng.uniform(0.0, 2 * np.pi)
    step = 2 * np.pi * MPP / (_PALISADES[label] * rng.uniform(0.95, 1.05))
    y, x = np.ogrid[: shape[0], : shape[1]]
    phase = step * (np.cos(facing) * y + np.sin(facing) * x) + rng.uniform(0, 2 * np.pi)
    return np.asarray(np.sin(phase + 0.5 * _smooth(shape, 5, rng)))


def _outline(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Where there is tissue: a bumpy ellipse on glass, with a few round lumina."""
    y, x = (np.linspace(-1.0, 1.0, n) for n in shape)
    dy, dx = y[:, None] / rng.uniform(0.8, 1.1), x[None] / rng.uniform(0.8, 1.1)
    tissue = np.hypot(dy, dx) < 1.0 + 0.15 * _smooth(shape, 4, rng)
    for _ in range(int(rng.integers(0, 4))):
        cy, cx = rng.uniform(-0.7, 0.7, 2)
        tissue &= np.hypot(y[:, None] - cy, x[None] - cx) > rng.uniform(0.05, 0.12)
    return np.asarray(tissue)


def _smooth(shape: tuple[int, int], knots: int, rng: np.random.Generator) -> np.ndarray:
    """`[h, w]` a random surface that bends at `knots` places along an axis, about unit variance."""
    from PIL import Image

    coarse = Image.fromarray(rng.standard_normal((knots, knots)).astype(np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Values of `[n]` replaced by their ranks in `[0, 1]`: every field gets one histogram."""
    found = np.empty(len(values), dtype=np.float32)
    found[np.argsort(values, kind="stable")] = (np.arange(len(values)) + 0.5) / len(values)
    return found
