"""Built-in sample data: farmland seen by Sentinel-2 at two dates, as real GeoTIFF files.

A place is labelled with **how large its fields are**: `small`, `medium` or `large`. Everything easier to read is drawn
apart from the label: what grows there and how much of each crop, their spectra at each date, how fields are laid out
(strips, blocks or the circles of pivots) and in which direction, light, haze and the processing baseline. Every layout
is cut at the quantiles of its own pattern, so a scene's colours say nothing of its class.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import write_once

CLASSES = ("small", "medium", "large")
_PERIODS = {"small": 120.0, "medium": 240.0, "large": 480.0}  # m from one field to the next like it
CROPS = {0: "bare soil", 1: "crop", 2: "grass"}
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
SIZE = 96
_VERSION = 1
_METRES = 10.0
# Mean reflectance of the three covers in each band at the two dates (typical of spring and late summer).
_SPECTRA = np.array(
    [
        [
            [0.09, 0.12, 0.16, 0.19, 0.21, 0.23, 0.25, 0.27, 0.34, 0.29],
            [0.03, 0.06, 0.04, 0.10, 0.30, 0.39, 0.42, 0.44, 0.19, 0.09],
            [0.04, 0.08, 0.06, 0.12, 0.23, 0.27, 0.29, 0.31, 0.23, 0.13],
        ],
        [
            [0.08, 0.11, 0.15, 0.18, 0.20, 0.22, 0.24, 0.26, 0.33, 0.28],
            [0.10, 0.14, 0.20, 0.24, 0.27, 0.29, 0.31, 0.33, 0.38, 0.27],
            [0.04, 0.07, 0.06, 0.11, 0.22, 0.26, 0.28, 0.30, 0.24, 0.14],
        ],
    ]
)
_DATES = ((2021, "2021-04-{day:02d}T10:05:12", "03.01"), (2022, "2022-08-{day:02d}T10:05:12", "05.10"))
_ZONES = (32632, 32633)


@dataclass(frozen=True)
class Field:
    """One place on one date.

    Attributes:
        reflectance: `[10, 96, 96]`, nan beyond the swath's edge.
        cover: `[96, 96]` uint8, numbers of `CROPS`.
        label: one of `CLASSES`.
    """

    reflectance: np.ndarray
    cover: np.ndarray
    label: str


def write_sample_set(folder: Path, seed: int = 0, places: int = 90) -> Path:
    """Write the set unless it is there already.

    Args:
        folder: gets `scenes/`, `masks/`, `dataset.json` and `manifest.csv`.
        seed: of everything drawn.
        places: each is seen twice; all classes are equally frequent.

    Returns:
        Path of the manifest (columns path, label, mask, group, split).
    """

    def write() -> list[dict[str, str]]:
        for name in ("scenes", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        names = {str(value): name for value, name in CROPS.items()}
        (folder / "dataset.json").write_text(json.dumps({"labels": names}, indent=1))
        return [row for at in range(places) for row in _write_place(folder, seed, at, _split(at, places))]

    return write_once(folder, {"version": _VERSION, "seed": seed, "places": places}, write)


def _split(at: int, places: int) -> str:
    """50/20/30 % of each class, by place."""
    share = (at // len(CLASSES)) / max(1, places // len(CLASSES))
    return "train" if share < 0.5 else "val" if share < 0.7 else "test"


def _write_place(folder: Path, seed: int, at: int, split: str) -> list[dict[str, str]]:
    """Both dates of a place: its fields stay, what grows there changes."""
    label = CLASSES[at % len(CLASSES)]
    zone = _ZONES[at // len(CLASSES) % len(_ZONES)]
    # Places lie 30 km apart, so that no two share a spatial block.
    east, north = 400_000 + 30_000 * (at % 10), 5_200_000 + 30_000 * (at // 10)
    rows = []
    for date, (year, time, baseline) in enumerate(_DATES):
        rng = np.random.default_rng([seed, 3, at, date])
        field = make_field(label, np.random.default_rng([seed, 2, at]), rng, date)
        name = f"place{at:03d}_{year}.tif"
        corner = (east + int(rng.integers(-3, 4)) * 10, north + int(rng.integers(-3, 4)) * 10)
        tags = {
            "DATETIME": time.format(day=int(rng.integers(1, 28))),
            "SENSOR": "Sentinel-2 MSI L2A",
            "PROCESSING_BASELINE": baseline,
        }
        stored = stored_values(field.reflectance, baseline)
        write_scene(folder / "scenes" / name, stored, zone, corner, BANDS, tags=tags)
        write_scene(folder / "masks" / name, field.cover[None], zone, corner)
        rows.append(
            {"path": f"scenes/{name}", "label": label, "mask": f"masks/{name}", "group": f"P{at:03d}", "split": split}
        )
    return rows


def stored_values(reflectance: np.ndarray, baseline: str) -> np.ndarray:
    """Reflectance as ESA stores it: steps of 1/10000, 1000 more since baseline 04.00, 0 without data; uint16."""
    steps = np.rint(np.nan_to_num(reflectance) * 10_000) + (1000 if baseline >= "04.00" else 0)
    return np.where(np.isfinite(reflectance), steps.clip(1, 65535), 0).astype(np.uint16)


def write_scene(
    path: Path,
    values: np.ndarray,
    zone: int,
    corner: tuple[float, float],
    names: tuple[str, ...] = (),
    *,
    tags: dict[str, str] | None = None,
    metres: float = _METRES,
) -> Path:
    """Write `[C, H, W]` as a tiled, compressed GeoTIFF in a UTM zone, atomically."""
    import rasterio
    from affine import Affine

    draft = path.with_name(f".{path.name}.draft")
    with rasterio.open(
        draft,
        "w",
        driver="GTiff",
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype.name,
        crs=f"EPSG:{zone}",
        transform=Affine(metres, 0, corner[0], 0, -metres, corner[1]),
        compress="deflate",
        zlevel=1,
        predictor=2,
        interleave="pixel",
        tiled=True,
        blockxsize=128,
        blockysize=128,
    ) as out:
        out.write(values)
        for number, name in enumerate(names, 1):
            out.set_band_description(number, name)
        out.update_tags(**(tags or {}))
    draft.replace(path)
    return path


# ------------------------------------------------------------------------------------------------------------ farmland
def make_field(label: str, place: np.random.Generator, rng: np.random.Generator, date: int) -> Field:
    """One place on one date.

    Args:
        label: decides the size of the fields and nothing else.
        place: what stays over the year: layout, direction, shares of the covers.
        rng: what changes: spectra, light, haze, noise, the swath's edge.
        date: 0 or 1.
    """
    pattern = layout(_PERIODS[label] / _METRES * place.uniform(0.93, 1.07), place)
    cover = covers(pattern, place)
    spectra = _SPECTRA[date] * rng.uniform(0.92, 1.08, (3, 1)) * rng.uniform(0.97, 1.03, (3, len(BANDS)))
    x = spectra[cover].transpose(2, 0, 1)
    gain, haze = rng.uniform(0.9, 1.1), rng.uniform(0.0, 0.015)
    blue = np.array([1.0, 0.6, 0.35, 0.3, 0.25, 0.2, 0.15, 0.15, 0.02, 0.01])[:, None, None]
    x = x * gain * (1 + 0.04 * _slope(rng)) + haze * blue
    x = x + 0.004 * rng.standard_normal(x.shape)
    if rng.random() < 0.15:
        x = np.where(_swath(rng), np.nan, x)
    return Field(x.clip(0.001, 1.5).astype(np.float32), cover.astype(np.uint8), label)


def covers(pattern: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[H, W]` number of the cover: the pattern cut at its own quantiles, in an order drawn by chance."""
    shares = rng.uniform(0.29, 0.37, 2)
    low, high = np.quantile(pattern, (shares[0], shares.sum()))
    return np.asarray(rng.permutation(3)[(pattern > low).astype(int) + (pattern > high)])


def layout(period: float, rng: np.random.Generator) -> np.ndarray:
    """`[H, W]` a regular pattern: plane waves in one direction (strips), two at 90 (blocks) or three at 60 degrees.

    Args:
        period: cells from one field to the next like it.
        rng: draws the kind of layout, its direction and place.
    """
    angles = ((0.0,), (0.0, 90.0), (0.0, 60.0, 120.0))[int(rng.integers(3))]
    turn, shift = rng.uniform(0, 360.0), rng.uniform(0, SIZE, 2)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    total = np.zeros((SIZE, SIZE))
    for angle in np.radians(np.array(angles) + turn):
        total += np.cos(2 * np.pi * (np.cos(angle) * (x + shift[1]) + np.sin(angle) * (y + shift[0])) / period)
    return total


def _slope(rng: np.random.Generator) -> np.ndarray:
    """Light that changes over the scene: a plane from -1 to 1."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    return np.asarray((np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2))


def _swath(rng: np.random.Generator) -> np.ndarray:
    """`[H, W]` bool: beyond the edge of what the satellite saw, up to a third of the scene."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    slant = rng.uniform(-0.3, 0.3)
    edge = rng.uniform(0.05, 0.3) * SIZE + slant * (y - SIZE / 2)
    return np.asarray(x < edge if rng.random() < 0.5 else SIZE - 1 - x < edge)
