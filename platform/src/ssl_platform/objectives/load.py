"""From an objective's name to its class, through the records of core and plugins."""

from __future__ import annotations

from ssl_platform.errors import PluginError
from ssl_platform.objectives.base import REGISTRY, Objective
from ssl_platform.plugins import registry


def load_objective(name: str) -> type[Objective]:
    """The class registered under `name`, imported on first use.

    Raises:
        PluginError: no such objective, or its factory is no objective.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    declaration = registry().objective(name)
    found = registry().load(declaration)
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise PluginError(f"objective {name!r}: {declaration.factory} is not a subclass of Objective")
    return found
