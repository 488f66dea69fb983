"""Which band of which sensor each stored band is: by the file's own names or the user's, never by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssl_platform.errors import Unreadable, did_you_mean
from ssl_platform.types import Row
from ssl_platform_multispectral.options import MultispectralOptions, parse_bands
from ssl_platform_multispectral.registry import SENSORS, Band, Sensor, find_band, sensor_marked, sensors_with
from ssl_platform_multispectral.scene import Scene, StoredBand

SKIP = "skip"
CHANNEL_PART = "channel:"


@dataclass(frozen=True)
class Named:
    """A stored band that is known.

    Attributes:
        stored: as the file has it.
        sensor, band: what it is.
    """

    stored: StoredBand
    sensor: Sensor
    band: Band

    @property
    def channel(self) -> str:
        """Its channel name."""
        return self.sensor.channel(self.band)


def name_bands(row: Row, scene: Scene, options: MultispectralOptions) -> list[Named]:
    """The bands to read, in order.

    Raises:
        Unreadable: a band or the sensor is not known, or a band that was asked for is not there; names the key.
    """
    told = row.meta.get("bands")
    wanted: Sequence[str] = parse_bands(str(told)) if told else options.bands if options.bands != "auto" else ()
    wanted = [name.rpartition("-")[2] if "-" in name else name for name in wanted]
    stored = list(scene.bands)
    own = [band.name for band in stored]
    if any(own):
        named = _with_own_names(row, scene, options, stored, wanted)
        return named if not wanted else _selected(named, wanted)
    if not wanted:
        raise Unreadable(
            f"its {len(stored)} bands have no names: say what they are in file order, data.bands=[B02,B03,..] "
            "(a sensor's names with data.sensor, colours, or wavelengths such as 665nm; skip leaves one out)"
        )
    if len(wanted) != len(stored):
        raise Unreadable(f"its {len(stored)} bands have no names and data.bands names {len(wanted)}")
    sensor = _sensor(row, scene, options, [name for name in wanted if name != SKIP])
    return [_find(sensor, band, name) for band, name in zip(stored, wanted, strict=True) if name != SKIP]


def _with_own_names(
    row: Row, scene: Scene, options: MultispectralOptions, stored: Sequence[StoredBand], wanted: Sequence[str]
) -> list[Named]:
    """All bands that the file names, or only those asked for where it also holds others."""
    names = [band.name for band in stored if band.name]
    if wanted:  # further layers of the file need not be bands of the sensor
        keys = {name.lower() for name in wanted}
        asked = [name for name in names if name.lower() in keys]
        names = asked or names
    sensor = _sensor(row, scene, options, names)
    found = [(band, find_band(sensor, band.name)) for band in stored if band.name]
    unknown = [band.name for band, known in found if known is None]
    nameless = sum(not band.name for band in stored)
    if (unknown or nameless) and not wanted:
        what = f"band {unknown[0]!r} is" if unknown else f"{nameless} of its bands {'is' if nameless == 1 else 'are'}"
        hint = did_you_mean(unknown[0], [band.name for band in sensor.bands]) if unknown else ""
        raise Unreadable(f"{what} not known for {sensor.name}{hint}: name those to use in data.bands")
    return [Named(band, sensor, known) for band, known in found if known is not None]


def _selected(named: Sequence[Named], wanted: Sequence[str]) -> list[Named]:
    chosen = []
    for name in wanted:
        found = [n for n in named if n.band.answers(name) or n.stored.name.lower() == name.lower()]
        if not found:
            raise Unreadable(
                f"band {name!r} of data.bands is not in it: it has {', '.join(n.band.name for n in named) or 'none'}"
            )
        chosen.append(found[0])
    return chosen


def _find(sensor: Sensor, band: StoredBand, name: str) -> Named:
    known = find_band(sensor, name)
    if known is None:
        close = did_you_mean(name, [b.name for b in sensor.bands])
        raise Unreadable(f"{sensor.name} has no band {name!r}{close}: set data.bands or data.sensor")
    return Named(band, sensor, known)


def _sensor(row: Row, scene: Scene, options: MultispectralOptions, names: Sequence[str]) -> Sensor:
    """The option's sensor, else the manifest's, the file's, or the only one with bands of these names."""
    told = options.sensor if options.sensor != "auto" else str(row.meta.get("sensor") or scene.sensor or "")
    if told:
        sensor = SENSORS.get(told) or sensor_marked(told)
        if sensor is None:
            raise Unreadable(f"sensor {told!r} is not known{did_you_mean(told, SENSORS)}: {', '.join(SENSORS)}")
        return sensor
    fitting = sensors_with(names)
    if len(fitting) == 1 or SENSORS["generic"] in fitting:  # colours and wavelengths say all there is to know
        return fitting[-1]
    listed = ", ".join(names[:4]) + (", .." if len(names) > 4 else "")
    if not fitting:
        raise Unreadable(f"no sensor has bands {listed}: set data.sensor, or data.bands to name them by wavelength")
    raise Unreadable(
        f"bands {listed} may be of {' or '.join(sensor.name for sensor in fitting)}: set data.sensor, or a manifest "
        "column 'sensor'"
    )
