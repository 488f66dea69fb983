"""`ssl-platform recipes`."""

from __future__ import annotations

from typing import Any

import click

from ssl_platform.cli.listing import listing


def rows() -> list[dict[str, Any]]:
    """One row a shipped recipe."""
    from ssl_platform.config.recipes import recipes

    return [{"name": recipe.name, "summary": recipe.summary, "path": str(recipe.path)} for recipe in recipes()]


def facts(name: str) -> dict[str, Any]:
    """What one recipe says."""
    from ssl_platform.config.recipes import find_recipe

    recipe = find_recipe(name)
    text = recipe.path.read_text(encoding="utf-8")
    return {"name": recipe.name, "path": str(recipe.path), "summary": recipe.summary, "text": text}


def text(found: dict[str, Any]) -> str:
    """A recipe as people read it: its file."""
    return str(found["text"])


command: click.Command = listing(
    "recipes", "Complete, runnable experiments that are shipped.", rows, facts, ("name", "summary"), text=text
)
