"""Built-in sample data: a labelled set of synthetic stained sections, as real pyramidal TIFF files.

Each slide shows a piece of tissue with lumina on glass, stained with haematoxylin and eosin. Nuclei lie in palisades,
and a slide is labelled with **how far apart the palisades are**: `dense`, `medium`, `loose` or `sparse`. Everything
easier to read is drawn apart from the label: direction of the palisades, contrast, colour and amount of each stain,
outline and size of the tissue, lumina, the scanner's microns a pixel and its levels. Within the tissue the amounts of
stain of every class have one and the same histogram, by construction: they are replaced by their ranks. So mean colour,
spread and histogram tell nothing of the class; how pixels lie next to each other does.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

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
        folder: gets `slides/`, `about.json` and `manifest.csv`.
        seed: of everything drawn.
        items: slides; patients have one or two, all classes are equally frequent.

    Returns:
        path of the manifest (columns path, label, group, split).
    """
    manifest, stamp = folder / "manifest.csv", folder / "about.json"
    about = {"version": _VERSION, "seed": seed, "items": items}
    if manifest.exists() and stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == about:
        return manifest
    stamp.unlink(missing_ok=True)
    patients = _patients(items, np.random.default_rng([seed, 1]))
    rows = [_write_item(folder, seed, at, *patients[at]) for at in range(items)]
    draft = manifest.with_suffix(".tmp")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(manifest)
    stamp.write_text(json.dumps(about), encoding="utf-8")
    return manifest


def _patients(items: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Label, patient and split of each slide: 50/25/25 % of each class; slides of a patient stay together."""
    plan: list[tuple[str, str, str]] = []
    patient = 0
    for number, label in enumerate(CLASSES):
        count = len(range(number, items, len(CLASSES)))
        placed = 0
        while placed < count:
            slides = min(count - placed, 2 if rng.random() < 0.3 else 1)
            share = placed / count
            split = "train" if share < 0.5 else "val" if share < 0.75 else "test"
            plan += [(label, f"P{patient:03d}", split)] * slides
            placed += slides
            patient += 1
    return [plan[at] for at in rng.permutation(len(plan))]


def _write_item(folder: Path, seed: int, at: int, label: str, patient: str, split: str) -> dict[str, str]:
    from PIL import Image

    rng = np.random.default_rng([seed, 2, at])
    rgb = make_section(label, rng)
    mpp, steps = _SCANNERS[int(rng.integers(len(_SCANNERS)))]
    if mpp != MPP:
        size = tuple(round(n * MPP / mpp) for n in rgb.shape[1::-1])
        rgb = np.asarray(Image.fromarray(rgb).resize((size[0], size[1]), Image.Resampling.BICUBIC))
    name = f"slides/section_{at:03d}.tif"
    draft = folder / f"{name}.tmp"
    write_tiff(draft, rgb, mpp, steps, tile=128).replace(folder / name)
    return {"path": name, "label": label, "group": patient, "split": split}


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
