"""Values of a volume: Hounsfield units stay what they are, anything else is mapped to [0, 1] by robust percentiles.

CT has a physical scale, so HU are kept as int16 and windows are chosen later, on the device. MR, PET and ultrasound
have a scale of their own in every volume: two percentiles become 0 and 1, values beyond are clipped, stored as float16
(steps of 0.0005 at most).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssl_platform.errors import Unreadable

# Outside the scan circle scanners store padding far below air.
HU_LOWEST, HU_HIGHEST = -1024, 32767
_SAMPLE = 400_000
_CLASSES = 32  # a volume of so few whole numbers may be a mask


def is_hounsfield(modality: str | None) -> bool:
    """Whether values of a modality are Hounsfield units."""
    return modality == "ct"


def finite(volume: np.ndarray) -> np.ndarray | None:
    """`[D, H, W]` bool where all channels of `[C, D, H, W]` are finite; None when all are.

    Raises:
        Unreadable: no voxel is.
    """
    if volume.dtype.kind != "f":
        return None
    # The sum is finite only if every value is (or, rarely, when large values overflow: then the slow way decides).
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(volume.sum(dtype=np.float64)):
            return None
    valid = np.isfinite(volume).all(axis=0)
    if not valid.any():
        raise Unreadable("every voxel is NaN or infinite")
    return None if valid.all() else np.asarray(valid)


def statistics(volume: np.ndarray, valid: np.ndarray | None, percentiles: tuple[float, float]) -> dict[str, float]:
    """Facts about the values of one channel `[D, H, W]` in source units.

    Returns:
        `min`, `max`, `mean`, `std`, `median`, `low` and `high` (the two percentiles), `invalid` (fraction) and
        `classes` (distinct values where they are few and whole, else 0).
        Percentiles, mean and std are of every n-th voxel of large volumes.
    """
    values = volume.ravel() if valid is None else volume[valid]
    sample = values[:: max(1, values.size // _SAMPLE)].astype(np.float64)
    low, median, high = np.percentile(sample, (percentiles[0], 50.0, percentiles[1]))
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(sample.mean()),
        "std": float(sample.std()),
        "median": float(median),
        "low": float(low),
        "high": float(high),
        "invalid": 0.0 if valid is None else float(1.0 - valid.mean()),
        "classes": float(_classes(sample)),
    }


def _classes(sample: np.ndarray) -> int:
    """Distinct values where they are at most 32 whole numbers, else 0."""
    if len(np.unique(sample[:4096])) > _CLASSES:
        return 0
    found = np.unique(sample)
    return len(found) if len(found) <= _CLASSES and (found == np.rint(found)).all() else 0


def hounsfield(volume: np.ndarray) -> np.ndarray:
    """HU as int16, padding below -1024 raised to it."""
    return np.asarray(np.rint(volume.clip(HU_LOWEST, HU_HIGHEST)).astype(np.int16))


def unit_range(volume: np.ndarray, facts: Mapping[str, float]) -> np.ndarray:
    """Values with the facts' `low` and `high` mapped to 0 and 1, clipped, float16.

    Raises:
        Unreadable: the volume is constant.
    """
    low, high = facts["low"], facts["high"]
    if high <= low:  # nearly all voxels are equal: use everything there is
        low, high = facts["min"], facts["max"]
    if high <= low:
        raise Unreadable(f"constant: every voxel is {low:g}")
    unit = (volume.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return np.asarray(unit.clip(0.0, 1.0).astype(np.float16))


def absurd(facts: Mapping[str, float], modality: str | None) -> str | None:
    """Why the values of one item cannot be what they are said to be, or None."""
    low, high = facts["min"], facts["max"]
    if facts.get("classes", 0) > 1:
        return f"only {facts['classes']:g} whole numbers from {low:g} to {high:g}: a label mask? give it to --labels"
    if is_hounsfield(modality):
        if low >= 0 and high <= 255:
            return f"values {low:g} to {high:g} are no Hounsfield units: an 8-bit picture? set data.modality=mr"
        if low >= 0 and facts["high"] > 1200:
            return f"no value below 0 and a maximum of {high:g}: Hounsfield units without their intercept of -1024?"
        if high > 20_000 or low < -20_000:
            return f"values {low:g} to {high:g} are far beyond Hounsfield units: a rescale slope was lost?"
    elif high - facts["high"] > 1000 * max(facts["high"] - facts["low"], 1e-12):
        return f"a maximum of {high:g} where 99.5 % lie below {facts['high']:g}: damaged voxels? they are clipped"
    if facts.get("invalid", 0.0) > 0:
        return f"{100 * facts['invalid']:.2g} % of its voxels are NaN or infinite: they count as missing"
    return None


def unlike_set(facts: Mapping[str, Mapping[str, float]], factor: float = 100.0) -> dict[str, str]:
    """Items whose range of values is unlike that of their set.

    Args:
        facts: statistics by item.
        factor: how many times the set's median range (or how small a part of it) is absurd. Percentiles bring such
            items to the common scale, but they deserve a look.

    Returns:
        one line for each such item.
    """
    ranges = {name: max(item["high"] - item["low"], 1e-12) for name, item in facts.items()}
    if len(ranges) < 5:
        return {}
    median = float(np.median(list(ranges.values())))
    return {
        name: f"values span {value:,.6g} where the set's median is {median:,.6g}: a scale of its own, or damage"
        for name, value in ranges.items()
        if value > factor * median or value < median / factor
    }
