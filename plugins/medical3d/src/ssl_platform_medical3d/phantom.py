"""Built-in sample data: a labelled set of CT-like phantoms, as real NIfTI files.

Each volume shows a body with fat, muscle, spine and two organs. The large organ is layered, and an item is labelled
with **how far apart the layers lie**: `fine`, `medium`, `coarse` or `broad`. Everything easier to read is drawn apart
from the label: direction and contrast of the layers, the organ's position, shape, size and mean, lesions, noise,
spacing and storage orientation. Within the organ the values of every class have one and the same histogram, by
construction: they are replaced by the quantiles of a normal distribution. So mean, spread and histogram tell nothing of
the class; how values lie next to each other does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import Planned, plan_groups, write_once
from ssl_platform_medical3d.orientation import affine_of_codes, orientation_of
from ssl_platform_medical3d.readers import nifti

CLASSES = ("fine", "medium", "coarse", "broad")
_WAVELENGTHS = {"fine": 13.0, "medium": 18.5, "coarse": 26.5, "broad": 38.0}  # mm from layer to layer
MASK_NAMES = {"0": "background", "1": "organ", "2": "second organ", "3": "lesion"}
_CODES = ("RAS", "LPS", "LAS", "RPI", "ASR", "SPL")
_SIZES = (56, 60, 64, 66, 70, 72)  # quick to transform
_VERSION = 6


@dataclass(frozen=True)
class Phantom:
    """One phantom in normalised axes.

    Attributes:
        hu: `[D, H, W]` int16 Hounsfield units.
        mask: `[D, H, W]` uint8, see `MASK_NAMES`.
        spacing: mm along D, H, W.
        label: one of `CLASSES`.
    """

    hu: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]
    label: str


def write_sample_set(folder: Path, seed: int = 0, items: int = 240) -> Path:
    """Write the set unless it is there already.

    Args:
        folder: gets `images/`, `labels/`, `dataset.json` and `manifest.csv`.
        seed: of everything drawn.
        items: volumes; patients have one or two, all classes are equally frequent.

    Returns:
        path of the manifest (columns path, label, mask, group, split, modality).
    """

    def write() -> list[dict[str, str]]:
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "labels": MASK_NAMES}, indent=1))
        plan = plan_groups(CLASSES, items, np.random.default_rng([seed, 1]), train=0.45, val=0.15)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda at: _write_item(folder, seed, at, plan[at]), range(items)))

    return write_once(folder, {"version": _VERSION, "seed": seed, "items": items}, write)


def _write_item(folder: Path, seed: int, at: int, planned: Planned) -> dict[str, str]:
    rng = np.random.default_rng([seed, 2, at])
    phantom = make_phantom(planned.label, rng)
    codes = _CODES[int(rng.integers(len(_CODES)))]
    affine = _affine(codes, phantom.spacing, rng)
    name = f"phantom_{at:03d}.nii.gz"
    orientation = orientation_of(affine)
    for where, volume in (("images", phantom.hu), ("labels", phantom.mask)):
        nifti.write(folder / where / name, np.ascontiguousarray(orientation.invert(volume)), affine, "phantom CT")
    return {
        "path": f"images/{name}",
        "label": planned.label,
        "mask": f"labels/{name}",
        "group": f"P{planned.group:03d}",
        "split": planned.split,
        "modality": "ct",
    }


def _affine(codes: str, spacing: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """An affine with storage axes along `codes`; every third volume lies a few degrees oblique."""
    along = {"S": spacing[0], "I": spacing[0], "A": spacing[1], "P": spacing[1], "R": spacing[2], "L": spacing[2]}
    affine = affine_of_codes(codes, tuple(along[code] for code in codes))
    if rng.random() < 1 / 3:
        angle = np.radians(rng.uniform(-8.0, 8.0))
        turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = rng.uniform(-80.0, 80.0, 3).round(1)
    return affine


# ------------------------------------------------------------------------------------------------------------- anatomy
def make_phantom(label: str, rng: np.random.Generator) -> Phantom:
    """One phantom of a class; everything but the organ's texture is drawn without looking at the class."""
    spacing = (float(rng.uniform(1.45, 1.6)), float(rng.uniform(0.95, 1.05)), float(rng.uniform(0.95, 1.05)))
    shape = (int(rng.choice(_SIZES)), int(rng.choice(_SIZES)), int(rng.choice(_SIZES)))
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    half = [float(a[-1]) for a in axes]

    shift = rng.uniform(-2.0, 2.0, 2)
    radius = np.sqrt(((y - shift[0]) / (1.35 * half[1])) ** 2 + ((x - shift[1]) / (1.35 * half[2])) ** 2) + 0.0 * z
    body, inside = radius < 1.0, radius < rng.uniform(0.9, 0.95)
    hu = np.where(body, -90.0, -1000.0).astype(np.float32)
    hu = np.where(inside, np.float32(rng.uniform(35.0, 55.0)), hu)
    hu += inside * (12.0 * _smooth_field(shape, spacing, 6.0, rng))
    spine = ((y + 0.68 * half[1]) / 6.0) ** 2 + (x / 6.0) ** 2 + 0.0 * z < 1.0
    hu = np.where(spine & body, rng.uniform(350.0, 600.0), hu)

    centre = rng.uniform(-0.2, 0.2, 3) * np.array(half)
    size = rng.uniform(0.65, 0.85, 3) * np.array(half)
    organ = _blob(z, y, x, centre, size, rng) & inside & ~spine
    second = _second_organ(z, y, x, half, centre, rng) & inside & ~spine & ~organ
    hu[second] = rng.uniform(20.0, 140.0) + 8.0 * rng.standard_normal(int(second.sum()))
    texture = _texture(shape, spacing, label, rng)[organ]
    hu[organ] = rng.uniform(20.0, 120.0) + rng.uniform(60.0, 180.0) * normal_quantiles(texture)

    mask = organ.astype(np.uint8) + 2 * second.astype(np.uint8)
    for lesion in _lesions(organ, z, y, x, axes, rng):
        hu[lesion] += rng.choice((-1.0, 1.0)) * rng.uniform(150.0, 300.0)
        mask[lesion] = 3
    hu += float(rng.uniform(4.0, 10.0)) * rng.standard_normal(shape, dtype=np.float32)
    return Phantom(np.rint(hu.clip(-1024, 3071)).astype(np.int16), mask, spacing, label)


def _blob(
    z: np.ndarray, y: np.ndarray, x: np.ndarray, centre: np.ndarray, size: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """An ellipsoid with a bumpy surface."""
    # Python floats keep single precision single.
    dz, dy, dx = ((a - float(c)) / float(s) for a, c, s in zip((z, y, x), centre, size, strict=True))
    squared = dz**2 + dy**2 + dx**2
    angle = np.arctan2(dy, dx)
    bump = np.ones_like(angle)
    for order in (2, 3):
        bump += rng.uniform(0.0, 0.12) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    # Higher up the outline widens or narrows.
    bump = bump + rng.uniform(-0.15, 0.15) * dz
    return np.asarray(squared < bump**2)


def _second_organ(
    z: np.ndarray, y: np.ndarray, x: np.ndarray, half: list[float], other: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A smaller organ, away from the first one's centre."""
    angle = rng.uniform(0, 2 * np.pi)
    centre = other + np.array(
        [rng.uniform(-0.4, 0.4) * half[0], 0.7 * half[1] * np.sin(angle), 0.7 * half[2] * np.cos(angle)]
    )
    return _blob(z, y, x, centre, rng.uniform(0.18, 0.3, 3) * np.array(half), rng)


def _lesions(
    organ: np.ndarray, z: np.ndarray, y: np.ndarray, x: np.ndarray, axes: list[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """None to three small balls inside the organ."""
    count = int(rng.choice((0, 0, 1, 2, 3)))
    cells = np.argwhere(organ)
    found = []
    for _ in range(count):
        cell = cells[int(rng.integers(len(cells)))]
        middle = [axis[at] for axis, at in zip(axes, cell, strict=True)]
        ball = (z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2 < rng.uniform(2.5, 5.5) ** 2
        found.append(ball & organ)
    return found


# ------------------------------------------------------------------------------------------------------------- texture
def _texture(shape: tuple[int, ...], spacing: Sequence[float], label: str, rng: np.random.Generator) -> np.ndarray:
    """Layers at the distance of a class, facing any way, slightly warped: `[*shape]`, in `[-1, 1]`."""
    facing = rng.standard_normal(3)
    facing *= 2 * np.pi / (np.linalg.norm(facing) * _WAVELENGTHS[label] * rng.uniform(0.94, 1.06))
    phase = rng.uniform(0.0, 2 * np.pi) + 0.4 * _smooth_field(shape, spacing, 12.0, rng)
    for axis, (n, mm) in enumerate(zip(shape, spacing, strict=True)):
        along = facing[axis] * mm * np.arange(n)
        phase = phase + along.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.asarray(np.sin(phase))


def _smooth_field(
    shape: tuple[int, ...], spacing: Sequence[float], length: float, rng: np.random.Generator
) -> np.ndarray:
    """White noise filtered by a Gaussian of `length` mm, unit variance: `[*shape]` float32.

    Filtering is a product in frequency, with `exp(-length^2 |k|^2 / 2)`.
    """
    from scipy import fft

    noise = fft.rfftn(rng.standard_normal(shape, dtype=np.float32))
    frequencies = [
        2 * np.pi * (fft.rfftfreq if at == 2 else fft.fftfreq)(n, mm).astype(np.float32)
        for at, (n, mm) in enumerate(zip(shape, spacing, strict=True))
    ]
    kz, ky, kx = np.meshgrid(*frequencies, indexing="ij", sparse=True)
    field = fft.irfftn(noise * np.exp(-0.5 * length**2 * (kz**2 + ky**2 + kx**2)), s=shape)
    return np.asarray(field / field.std())


def normal_quantiles(values: np.ndarray) -> np.ndarray:
    """Values of `[n]` replaced by standard-normal quantiles in the same order: every field gets one histogram."""
    from scipy.special import ndtri

    quantiles = np.empty(len(values), dtype=np.float32)
    quantiles[np.argsort(values)] = ndtri((np.arange(len(values)) + 0.5) / len(values))
    return quantiles
