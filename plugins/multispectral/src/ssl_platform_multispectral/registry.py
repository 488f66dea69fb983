"""What is known of sensors: their bands by every usual name, wavelength, ground sampling, unit and polarisation.

Wavelengths are band centres as published by ESA (Sentinel-2A), USGS (OLI, TIRS), NASA (MODIS) and Leica (ADS100, NAIP).
Radar bands have a polarisation and no optical wavelength: none is made up for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ssl_platform.types import Channel

# Earth's surface rarely leaves these ranges; views and pictures need them, nothing is clipped on reading.
BOUNDS = {"reflectance": (0.0, 1.0), "K": (220.0, 340.0), "dB": (-30.0, 5.0), "brightness": (0.0, 1.0)}
COLOURS = {
    "coastal": 443.0,
    "blue": 490.0,
    "green": 560.0,
    "yellow": 610.0,
    "red": 665.0,
    "rededge": 705.0,
    "nir": 842.0,
    "cirrus": 1375.0,
    "swir16": 1610.0,
    "swir22": 2190.0,
}
_NANOMETRES = re.compile(r"(\d{3,5}(?:\.\d+)?) ?nm", re.IGNORECASE)


@dataclass(frozen=True)
class Band:
    """One band of a sensor.

    Attributes:
        name: the operator's own name.
        wavelength: centre in nm, or None (radar).
        gsd: ground sampling distance in m.
        unit: of values after scaling: `reflectance`, `K` (brightness temperature), `dB`, `brightness`.
        aliases: other names in use, any case.
        polarisation: sent and received, of radar.
    """

    name: str
    wavelength: float | None
    gsd: float
    unit: str = "reflectance"
    aliases: tuple[str, ...] = ()
    polarisation: str | None = None

    def answers(self, name: str) -> bool:
        """Whether a written name means this band."""
        return name.strip().lower() in {self.name.lower(), *(alias.lower() for alias in self.aliases)}


@dataclass(frozen=True)
class Sensor:
    """An instrument, or `generic` for bands that are known by wavelength or colour only.

    Attributes:
        name: what `data.sensor` takes.
        code: prefix of its channel names, so that `B10` of two sensors stay apart.
        bands: in the operator's order.
        marks: regular expressions over file names and tags that tell it.
        fill: stored value that means no data although files often do not say so, or None.
    """

    name: str
    code: str
    bands: tuple[Band, ...]
    marks: tuple[str, ...] = ()
    fill: float | None = None

    def band(self, name: str) -> Band | None:
        """The band a written name means."""
        return next((band for band in self.bands if band.answers(name)), None)

    def channel(self, band: Band) -> str:
        """Name of the band as a channel."""
        return f"{self.code}-{band.name}" if self.code else band.name


def _sentinel2() -> tuple[Band, ...]:
    table = (
        ("B01", 442.7, 60),
        ("B02", 492.7, 10),
        ("B03", 559.8, 10),
        ("B04", 664.6, 10),
        ("B05", 704.1, 20),
        ("B06", 740.5, 20),
        ("B07", 782.8, 20),
        ("B08", 832.8, 10),
        ("B8A", 864.7, 20),
        ("B09", 945.1, 60),
        ("B10", 1373.5, 60),
        ("B11", 1613.7, 20),
        ("B12", 2202.4, 20),
    )
    return tuple(Band(n, w, g, aliases=() if n == "B8A" else (f"B{int(n[1:])}",)) for n, w, g in table)


def _oli() -> tuple[Band, ...]:
    optical = ((1, 443.0), (2, 482.0), (3, 561.4), (4, 654.6), (5, 864.7), (6, 1608.9), (7, 2200.7))
    bands = [Band(f"B{n}", w, 30, aliases=(f"SR_B{n}",)) for n, w in optical]
    bands += [Band("B8", 589.5, 15), Band("B9", 1373.4, 30)]
    bands += [Band(f"B{n}", w, 100, "K", (f"ST_B{n}",)) for n, w in ((10, 10895.0), (11, 12005.0))]
    return tuple(bands)


def _modis() -> tuple[Band, ...]:
    table = ((645.0, 250), (858.5, 250), (469.0, 500), (555.0, 500), (1240.0, 500), (1640.0, 500), (2130.0, 500))
    return tuple(Band(f"sur_refl_b{n:02d}", wavelength, metres) for n, (wavelength, metres) in enumerate(table, 1))


SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor("sentinel2", "S2", _sentinel2(), (r"\bS2[ABCD]?_", r"sentinel-?_?2", r"\bMSIL[12][ACHM]"), fill=0),
        Sensor(
            "sentinel1",
            "S1",
            tuple(Band(p, None, 10, "dB", polarisation=p) for p in ("VV", "VH", "HH", "HV")),
            (r"\bS1[ABCD]?_", r"sentinel-?_?1"),
        ),
        Sensor("landsat", "OLI", _oli(), (r"\bL[CO]0[89]_", r"landsat[-_ ]?[89]"), fill=0),
        Sensor("modis", "MODIS", _modis(), (r"\bM[OY]D09", r"\bmodis"), fill=-28672),
        Sensor(
            "naip",
            "NAIP",
            (
                Band("R", 635.0, 1, "brightness", ("red",)),
                Band("G", 555.0, 1, "brightness", ("green",)),
                Band("B", 465.0, 1, "brightness", ("blue",)),
                Band("NIR", 845.0, 1, "brightness", ("N", "near infrared")),
            ),
            (r"\bnaip", r"\bm_\d{7}_[ns][ew]_"),
        ),
        Sensor("generic", "", tuple(Band(name, nm, 1) for name, nm in COLOURS.items())),
    )
}


def sensor_marked(text: str) -> Sensor | None:
    """The sensor that a file name or a tag names, or None; `Landsat 5` and the like are none of them."""
    return next((s for s in SENSORS.values() if any(re.search(m, text, re.IGNORECASE) for m in s.marks)), None)


def sensors_with(names: Iterable[str]) -> list[Sensor]:
    """Sensors that have a band for every one of the names (`generic` only for colours and wavelengths)."""
    wanted = list(names)
    return [sensor for sensor in SENSORS.values() if wanted and all(find_band(sensor, n) for n in wanted)]


def find_band(sensor: Sensor, name: str) -> Band | None:
    """The band a name means; for `generic` also a wavelength such as `842nm`."""
    found = sensor.band(name)
    if found is None and sensor.name == "generic":
        wavelength = _NANOMETRES.fullmatch(name.strip())
        if wavelength:
            return Band(f"{float(wavelength[1]):g}nm", float(wavelength[1]), 1)
    return found


@lru_cache(maxsize=1)
def known_channels() -> tuple[Channel, ...]:
    """All bands of the registry as channels of a layout."""
    return tuple(
        channel_of(sensor.channel(band), band.unit, band.wavelength)
        for sensor in SENSORS.values()
        for band in sensor.bands
    )


def channel_of(name: str, unit: str, wavelength: float | None) -> Channel:
    """A channel with the bounds of its unit."""
    return Channel(name, unit, wavelength, BOUNDS.get(unit))


def channels_named(names: Sequence[str]) -> tuple[Channel, ...]:
    """Channels for bands that a user names by wavelength (`842nm`) and the registry lacks."""
    generic = SENSORS["generic"]
    found = (find_band(generic, name) for name in names)
    return tuple(channel_of(b.name, b.unit, b.wavelength) for b in found if b is not None and b.name not in COLOURS)
