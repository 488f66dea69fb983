"""What product names and metadata files say of a scene: sensor, level, processing baseline, time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ssl_platform_multispectral.registry import sensor_marked

_SENTINEL2 = re.compile(r"S2[ABCD]_MSI(?P<level>L\w\w)_(?P<time>\d{8}T\d{6})(_N(?P<baseline>\d{4}))?")
_LANDSAT = re.compile(r"L[CO]0[89]_(?P<level>L\w{3})_\d{6}_(?P<time>\d{8})_\d{8}_(?P<collection>\d\d)_")
_GRANULE = re.compile(r"T\d\d[A-Z]{3}_(?P<time>\d{8}T\d{6})")
_LEVEL = re.compile(r"\b(L1C|L2A|L1TP|L2SP|L2SR|L1GT)\b")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(0[1-9]|1[0-2])-?([0-3]\d)(?:T?(\d{6}))?(?!\d)")
_TIME_TAGS = (
    "DATETIME",
    "ACQUISITIONDATETIME",
    "ACQUISITION_DATE",
    "DATE_ACQUIRED",
    "TIFFTAG_DATETIME",
    "SENSING_TIME",
)
_SENSOR_TAGS = ("SENSOR", "SATELLITE", "PLATFORM", "SPACECRAFT_ID", "SPACECRAFT_NAME", "CONSTELLATION", "MISSION_ID")
_BASELINE_TAGS = ("PROCESSING_BASELINE", "BASELINE", "S2:PROCESSING_BASELINE")


@dataclass(frozen=True)
class Product:
    """Facts about a scene that stand beside its pixels.

    Attributes:
        sensor, level, collection, baseline: as in `Scene`; empty when unknown.
        time: ISO 8601, or empty.
        scales: `(factor, summand)` of bands by upper-case name, from the metadata file.
    """

    sensor: str = ""
    level: str = ""
    collection: str = ""
    baseline: str = ""
    time: str = ""
    scales: tuple[tuple[str, float, float], ...] = ()

    def scale(self, band: str) -> tuple[float, float] | None:
        """The metadata's factor and summand of a band."""
        return next(((a, b) for name, a, b in self.scales if name == band.upper()), None)

    def over(self, other: Product) -> Product:
        """These facts, and the other's where these are unknown."""
        unknown = {name: value for name, value in vars(other).items() if value and not getattr(self, name)}
        return replace(self, **unknown)


def from_name(path: Path) -> Product:
    """What the file name, or a product folder above it, says."""
    for part in (path.name, *(above.name for above in path.parents)):
        if found := _SENTINEL2.search(part):
            baseline = found["baseline"] or ""
            return Product(
                "sentinel2", found["level"], "", baseline and f"{baseline[:2]}.{baseline[2:]}", iso(found["time"])
            )
        if found := _LANDSAT.search(part):
            return Product("landsat", found["level"], found["collection"], "", iso(found["time"]))
    if found := _GRANULE.search(path.name):
        return Product("sentinel2", time=iso(found["time"]))
    sensor = sensor_marked(path.name)
    dates = {found[0] for found in _DATE.finditer(path.stem)}
    return Product(sensor.name if sensor else "", time=iso(dates.pop()) if len(dates) == 1 else "")


def from_tags(tags: Mapping[str, str]) -> Product:
    """What the tags of a raster file say."""
    upper = {key.upper(): value for key, value in tags.items()}
    told = " ".join(upper.get(name, "") for name in _SENSOR_TAGS)
    sensor = sensor_marked(told)
    level = _LEVEL.search(told) or _LEVEL.search(upper.get("PROCESSING_LEVEL", ""))
    baseline = next((upper[name] for name in _BASELINE_TAGS if name in upper), "")
    time = next((iso(upper[name]) for name in _TIME_TAGS if iso(upper.get(name, ""))), "")
    return Product(sensor.name if sensor else "", level[1] if level else "", "", _baseline(baseline), time)


def from_metadata(files: Iterable[Path]) -> Product:
    """What the metadata files of a product say: `MTD_MSI*.xml` of Sentinel-2, `*_MTL.txt` of Landsat."""
    product = Product()
    for file in files:
        if file.name.startswith("MTD_MSI") and file.suffix == ".xml":
            product = product.over(_sentinel2(file.read_text(encoding="utf-8", errors="replace")))
        elif file.name.endswith("_MTL.txt"):
            product = product.over(_landsat(file.read_text(encoding="utf-8", errors="replace")))
    return product


def _sentinel2(text: str) -> Product:
    """Baseline and time; the offsets themselves follow from the baseline."""
    baseline = re.search(r"<PROCESSING_BASELINE>([\d.]+)<", text)
    time = re.search(r"<(?:DATATAKE_SENSING_START|PRODUCT_START_TIME)>([^<]+)<", text)
    level = re.search(r"<PROCESSING_LEVEL>Level-(\w\w)", text)
    return Product(
        "sentinel2",
        f"L{level[1]}" if level else "",
        "",
        _baseline(baseline[1]) if baseline else "",
        iso(time[1]) if time else "",
    )


def _landsat(text: str) -> Product:
    """Level, time and the factors of every band (level-1 reflectance is also divided by the sine of the sun's height).

    USGS, Landsat 8-9 Calibration and Validation Algorithm Description: rho = (M * DN + A) / sin(elevation).
    """
    import math

    known = dict(re.findall(r"^\s*(\w+) = \"?([^\"\n]*?)\"?\s*$", text, re.MULTILINE))
    level = known.get("PROCESSING_LEVEL", "")
    height = float(known.get("SUN_ELEVATION", 90.0))
    sine = 1.0 if level.startswith("L2") else math.sin(math.radians(height))
    scales = [
        (f"B{n}", float(factor) / sine, float(known.get(f"REFLECTANCE_ADD_BAND_{n}", 0.0)) / sine)
        for n in range(1, 10)
        if (factor := known.get(f"REFLECTANCE_MULT_BAND_{n}"))
    ]
    factor = known.get("TEMPERATURE_MULT_BAND_ST_B10")
    if factor:
        scales.append(("B10", float(factor), float(known.get("TEMPERATURE_ADD_BAND_ST_B10", 0.0))))
    return Product(
        "landsat",
        level,
        known.get("COLLECTION_NUMBER", ""),
        "",
        iso(known.get("DATE_ACQUIRED", "") + "T" + known.get("SCENE_CENTER_TIME", "")[:8].replace(":", "")),
        tuple(scales),
    )


def _baseline(text: str) -> str:
    """`05.09` of `05.09`, `5.9`, `N0509` or `0509`; empty otherwise."""
    digits = text.strip().upper().lstrip("N")
    if re.fullmatch(r"\d{4}", digits):
        return f"{digits[:2]}.{digits[2:]}"
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", digits)
    return f"{int(found[1]):02d}.{int(found[2]):02d}" if found else ""


def iso(text: str) -> str:
    """ISO 8601 in UTC of the usual ways to write a time; empty when it is none."""
    plain = text.strip().removesuffix("Z").replace(":", "").replace("/", "-").replace(" ", "T")
    found = _DATE.search(plain)
    if not found:
        return ""
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    clock = found[4] or "000000"
    try:
        moment = datetime(year, month, day, int(clock[:2]), int(clock[2:4]), int(clock[4:]), tzinfo=UTC)
    except ValueError:
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
