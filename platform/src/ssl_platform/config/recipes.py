"""Shipped recipes: complete, runnable experiments, one YAML each, named `domain/name`.

They live in `configs/` of the repository and travel in the wheel as `ssl_platform/recipes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_platform.config.loader import Document, load
from ssl_platform.errors import ConfigError, did_you_mean

_PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Recipe:
    """One shipped recipe.

    Attributes:
        name: `domain/name`.
        path: its file.
        summary: its first comment line.
    """

    name: str
    path: Path
    summary: str


def recipe_folder() -> Path:
    """Where shipped recipes are: inside the installed package, else `configs/` of the checkout."""
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parents[2] / "configs"


def recipes() -> list[Recipe]:
    """All shipped recipes, sorted by name."""
    folder = recipe_folder()
    files = folder.rglob("*.yaml") if folder.is_dir() else ()
    found = [Recipe(file.relative_to(folder).with_suffix("").as_posix(), file, _summary(file)) for file in files]
    return sorted(found, key=lambda recipe: recipe.name)


def _summary(file: Path) -> str:
    first = file.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def find_recipe(name: str) -> Recipe:
    """The shipped recipe of a name; the part after the slash is enough where it is unique.

    Raises:
        ConfigError: unknown or ambiguous, with what there is.
    """
    known = recipes()
    found = [recipe for recipe in known if recipe.name == name] or [r for r in known if r.name.split("/")[-1] == name]
    if len(found) > 1:
        raise ConfigError(f"recipe {name!r} is ambiguous: {', '.join(recipe.name for recipe in found)}")
    if not found:
        names = [recipe.name for recipe in known]
        close = did_you_mean(name, names) or did_you_mean(name, [one.split("/")[-1] for one in names])
        raise ConfigError(f"no file or shipped recipe {name!r}{close}: see ssl-platform recipes")
    return found[0]


def load_recipe(name: str) -> Document:
    """Read a recipe: a file, or the name of a shipped one.

    Raises:
        ConfigError: it is neither, or cannot be read; the message names file and line.
    """
    path = Path(name)
    if path.is_dir():
        inside = path / "config.yaml"
        raise ConfigError(f"{name} is a folder{f': pass {inside}' if inside.exists() else ', not a recipe'}")
    if path.is_file():
        return load(path)
    if path.suffix in (".yaml", ".yml"):
        raise ConfigError(f"no recipe file {name}")
    return load(find_recipe(name).path)
