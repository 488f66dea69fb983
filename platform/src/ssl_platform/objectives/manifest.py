"""Writes `objectives/manifest.json`, so that listings and settings need no torch. The objective files stay the truth.

python -m ssl_platform.objectives.manifest            write it
python -m ssl_platform.objectives.manifest --check    exit 1 when it is stale
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssl_platform import objectives
from ssl_platform.config.grammar import settings_of
from ssl_platform.objectives.base import REGISTRY, Objective

MANIFEST = Path(__file__).with_name("manifest.json")


def record_of(objective: type[Objective]) -> dict[str, Any]:
    """The manifest record of one objective; plugins ship the same.

    Raises:
        PluginError: a setting has no default or a type outside the grammar.
    """
    return {
        "name": objective.name,
        "family": objective.family,
        "paper": objective.paper,
        "summary": inspect.cleandoc(objective.__doc__ or "").split("\n", 1)[0],
        "factory": f"{objective.__module__}:{objective.__qualname__}",
        "needs": objective.plan().as_dict(),
        "settings": [asdict(setting) for setting in settings_of(objective.Config, attributes_of(objective.Config))],
    }


def attributes_of(cls: type) -> dict[str, str]:
    """Descriptions in the `Attributes:` section of a Google-style docstring, each on one line."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            inside = text == "Attributes:"
        elif inside and depth == 4 and ":" in text:
            names, _, description = text.partition(":")
            name = names.split(",")[-1].strip()
            found.update((one.strip(), description.strip()) for one in names.split(","))
        elif inside and name:
            found[name] = f"{found[name]} {text}"
    return found


def core_objectives() -> list[type[Objective]]:
    """Every objective of this package, sorted by name: all modules of `objectives/<family>/` are imported."""
    for package in pkgutil.iter_modules(objectives.__path__, f"{objectives.__name__}."):
        if package.ispkg:
            family = importlib.import_module(package.name)
            for module in pkgutil.iter_modules(family.__path__, f"{package.name}."):
                importlib.import_module(module.name)
    inside = (o for o in REGISTRY.values() if o.__module__.startswith(f"{objectives.__name__}."))
    return sorted(inside, key=lambda objective: objective.name)


def manifest_text() -> str:
    """The manifest as it should be."""
    return json.dumps([record_of(objective) for objective in core_objectives()], indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the manifest, or with `--check` say whether it is stale; returns the exit code."""
    text = manifest_text()
    fresh = MANIFEST.exists() and MANIFEST.read_text(encoding="utf-8") == text
    if "--check" in arguments:
        print(f"{MANIFEST.name} is {'current' if fresh else 'stale: run python -m ssl_platform.objectives.manifest'}")
        return 0 if fresh else 1
    MANIFEST.write_text(text, encoding="utf-8")
    print(f"{MANIFEST.name}: {text.count(chr(10) + ' {')} objectives")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
