"""Writes a distribution that importlib.metadata finds, so that plugins are tested without being installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

GROUP = "ssl_platform.plugins"


def write_distribution(
    folder: Path, distribution: str, module: str, code: str, *, name: str | None = None, version: str = "1.0"
) -> Path:
    """Write one module and the metadata that names it as a plugin.

    Args:
        folder: made; put it on `sys.path` (or `PYTHONPATH`) to install it.
        distribution: name of the distribution.
        module: name of the plugin module.
        code: its source.
        name: of the entry point; the module's when None.
        version: of the distribution.

    Returns:
        `folder`.
    """
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name or module} = {module}\n", encoding="utf-8")
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    return folder


def link_project(project: Path, site: Path) -> list[Path]:
    """What an editable install of a source tree leaves: metadata told from its `pyproject.toml`.

    Args:
        project: folder with `pyproject.toml` and `src/`.
        site: gets the metadata; made where it is not there.

    Returns:
        The folders to put on `sys.path` (or `PYTHONPATH`).
    """
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = "".join(f"{name} = {module}\n" for name, module in about["entry-points"][GROUP].items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}", encoding="utf-8")
    return [site, project / "src"]
