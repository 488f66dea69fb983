"""What tokenizers know of the channels they are built for."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_platform.types import Layout

RADAR_MICROMETRES = 3.75
"""Stands for radar bands, which have no optical wavelength (C band is 55 mm): the value DOFA was published with."""


def wavelengths_of(layout: Layout, channels: Sequence[str]) -> list[float | None]:
    """Centre of each channel in nm, None for radar and unknown ones."""
    known = {channel.name: channel.wavelength for channel in layout.channels}
    return [known.get(name) for name in channels]


def micrometres_of(layout: Layout, channels: Sequence[str]) -> list[float]:
    """Centre of each channel in micrometres, radar at `RADAR_MICROMETRES`.

    Raises:
        ConfigError: a channel is neither optical nor radar.
    """
    from ssl_platform.errors import ConfigError

    units = {channel.name: channel.unit for channel in layout.channels}
    found = []
    for name, wavelength in zip(channels, wavelengths_of(layout, channels), strict=True):
        if wavelength is None and units.get(name) != "dB":
            raise ConfigError(f"channel {name!r} has no known wavelength: name it by wavelength in data.bands")
        found.append(RADAR_MICROMETRES if wavelength is None else wavelength / 1000.0)
    return found


def families(layout: Layout, channels: Sequence[str]) -> list[list[int]]:
    """Channels in groups that see alike (after SatMAE: Cong et al., 2022): positions by spectral range, in order.

    Visible and red edge below 750 nm, near infrared to 1300 nm, shortwave infrared to 4000 nm, heat beyond, radar.
    """
    groups: dict[str, list[int]] = {}
    for place, wavelength in enumerate(wavelengths_of(layout, channels)):
        groups.setdefault(_family(wavelength), []).append(place)
    return list(groups.values())


def _family(wavelength: float | None) -> str:
    if wavelength is None:
        return "radar"
    for limit, name in ((680.0, "visible"), (795.0, "red edge"), (1300.0, "near infrared"), (4000.0, "shortwave")):
        if wavelength < limit:
            return name
    return "heat"
