"""Puts the shipped recipes into the distributions.

They live beside this folder (`../configs`) in the repository and inside it (`configs`) in a source distribution, so a
wheel built from either holds them as `ssl_platform/recipes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Recipes(BuildHookInterface):
    """Adds `configs/` to wheel and source distribution."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the folder that is there; editable installs read the repository's own."""
        here = Path(self.root)
        folder = next((f for f in (here / "configs", here.parent / "configs") if f.is_dir()), None)
        if folder is None:
            raise FileNotFoundError(f"no recipes: neither {here / 'configs'} nor {here.parent / 'configs'} exists")
        if version != "editable":
            target = "ssl_platform/recipes" if self.target_name == "wheel" else "configs"
            build_data["force_include"][str(folder)] = target
