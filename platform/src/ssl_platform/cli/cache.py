"""`ssl-platform cache`."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import json_option, parsed
from ssl_platform.cli.table import show_json, show_rows

ACTIONS = ("list", "verify", "prune")


@click.command(cls=Command, name="cache", short_help="List, verify or prune prepared items.")
@click.argument("action", default="list", metavar="[list|verify|prune]", type=click.Choice(ACTIONS))
@click.argument("words", nargs=-1, metavar="[SOURCE] [KEY=VALUE ...]")
@json_option
def command(action: str, words: tuple[str, ...], as_json: bool) -> None:
    """List, verify or prune prepared items, and what was fetched from shards elsewhere.

    SOURCE limits it to what was made from a file or folder. cache.dir=DIR names another cache; prune with
    cache.max_gb=N removes the least recently used until the rest fits, without anything it removes all.
    """
    from ssl_platform.data.upkeep import default_folder, list_items, prune, verify

    source, cache_dir, limit = settings(action, words)
    folder = Path(cache_dir).expanduser() if cache_dir else default_folder()
    if action == "prune":
        count, size = prune(folder, source=source, max_gb=limit)
        if as_json:
            show_json({"folder": str(folder), "removed": count, "bytes": size})
        else:
            click.echo(f"removed {count} prepared items, {size / 1e9:.2f} GB, from {folder}")
        return
    items = verify(folder) if action == "verify" else list_items(folder)
    rows = [row(item) for item in items if source is None or below(item.source, source)]
    if as_json:
        show_json({"folder": str(folder), "items": rows})
    else:
        total = sum(item["bytes"] for item in rows) / 1e9
        what = "damaged items (made again when next used)" if action == "verify" else "prepared items"
        click.echo(f"{folder}: {len(rows)} {what}, {total:.2f} GB")
        if rows:
            show_rows(rows, ("megabytes", "shape", "dtype", "used", "damaged", "source"), as_json)
    if action == "verify" and rows:
        raise click.exceptions.Exit(1)


def settings(action: str, words: tuple[str, ...]) -> tuple[str | None, str | None, float | None]:
    """SOURCE, `cache.dir` and `cache.max_gb` among the words of the command line."""
    if not words:  # the listing stays fast: nothing to validate, so pydantic is not imported
        return None, None, None
    from ssl_platform.config.overrides import is_override
    from ssl_platform.configure import configure

    overrides = tuple(word for word in words if is_override(word))
    sources = [word for word in words if word not in overrides]
    if len(sources) > 1:
        raise click.UsageError(f"cache {action} takes one SOURCE, got {', '.join(sources)}")
    config = configure("cache", overrides=parsed(overrides))
    limit = config.cache.max_gb if config.given("cache.max_gb") else None
    return (sources[0] if sources else None), config.cache.dir, limit


def row(item: Any) -> dict[str, Any]:
    """One prepared item as plain data."""
    used = datetime.datetime.fromtimestamp(item.used).isoformat(" ", "minutes")
    return {
        "source": item.source,
        "path": str(item.path),
        "bytes": item.bytes,
        "megabytes": round(item.bytes / 1e6, 1),
        "shape": list(item.shape),
        "dtype": item.dtype,
        "used": used,
        "damaged": item.damaged,
    }


def below(path: str, source: str) -> bool:
    """Whether a path is a file or lies below a folder."""
    root = Path(source).expanduser().absolute()
    return Path(path) == root or root in Path(path).parents
