"""From an objective's name to its class, through the records of core and plugins."""

from __future__ import annotations

import importlib

from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.objectives.base import REGISTRY, Objective


def load_objective(name: str) -> type[Objective]:
    """The class registered under `name`, imported on first use.

    Raises:
        ConfigError: no such objective.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    from ssl_platform.plugins import discover

    records = {record.name: record for record in discover().objectives}
    if name not in records:
        raise ConfigError(f"no objective {name!r}{did_you_mean(name, records)}; `ssl-platform objectives` lists them")
    importlib.import_module(records[name].module)
    return REGISTRY[name]
