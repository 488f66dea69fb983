"""The sample set: shapes as the files of the field, some with the flaws that real files have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.data.sample_set import plan_groups, write_once
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.fields import COLOUR, NORMAL
from ssl_platform_pointcloud.shapes import CLASSES, Scan, Shape, draw_shape, mesh, scan

CLOUDS = ("bin.ply", "ascii.ply", "bin.pcd", "lzf.pcd", "laz", "npz", "xyz", "csv")
MESHES = ("off", "obj")
_MESHES = 0.05
_ITEMS = 180
_VERSION = 6


def write_sample_set(folder: Path, seed: int = 0, items: int = _ITEMS) -> Path:
    """Write the set unless it is there already.

    Args:
        folder: gets `clouds/` and `manifest.csv`.
        seed: of everything drawn.
        items: clouds; a shape is scanned once or twice, all classes are equally frequent.

    Returns:
        path of the manifest (columns path, label, group, split).
    """

    def write() -> list[dict[str, str]]:
        (folder / "clouds").mkdir(parents=True, exist_ok=True)
        plan = plan_groups(CLASSES, items, np.random.default_rng([seed, 1]), train=0.5, val=0.15)
        rows = []
        for at, (label, number, split) in enumerate(plan):
            shape = draw_shape(label, np.random.default_rng([seed, 2, number]))
            path = _write_scan(folder / "clouds" / f"column_{at:03d}", shape, np.random.default_rng([seed, 3, at]))
            rows.append({"path": f"clouds/{path.name}", "label": label, "group": f"shape-{number:03d}", "split": split})
        return rows

    return write_once(folder, {"version": _VERSION, "seed": seed, "items": items}, write)


def _write_scan(stem: Path, shape: Shape, rng: np.random.Generator) -> Path:
    """One scan of a shape, turned and moved, in a format drawn apart from the class."""
    kinds = MESHES if rng.random() < _MESHES else CLOUDS
    kind = kinds[int(rng.integers(len(kinds)))]
    turn, move = _turn(rng.uniform(0, 2 * np.pi)), rng.uniform(-5.0, 5.0, 3)
    path = stem.with_suffix(f".{kind.split('.')[-1]}")
    if kind in MESHES:
        vertices, faces = mesh(shape)
        return writers.write_mesh(path, vertices @ turn.T + move, faces)
    found = scan(shape, int(rng.integers(1300, 3000)), rng)
    found = Scan(found.xyz @ turn.T + move, found.normals @ turn.T, found.colours, found.part)
    return _write_points(path, kind, found, rng)


def _write_points(path: Path, kind: str, found: Scan, rng: np.random.Generator) -> Path:
    colours = {name: found.colours[:, i].copy() for i, name in enumerate(COLOUR)}
    normals = {name: found.normals[:, i].astype(np.float32) for i, name in enumerate(NORMAL)}
    label = {"label": found.part}
    xyz = found.xyz
    if kind == "bin.ply":
        return writers.write_ply(path, xyz, {**normals, **colours, **label})
    if kind == "ascii.ply":
        return writers.write_ply(path, xyz, {**colours, **label}, encoding="ascii")
    if kind == "lzf.pcd":
        return writers.write_pcd(path, xyz, {**colours, **label}, encoding="binary_compressed")
    if kind == "laz":
        far = xyz + np.array([512_000.0, 5_403_000.0, 200.0])  # as surveyors' coordinates are
        shine = np.clip(np.linalg.norm(xyz, axis=1) * 1000, 0, 65535).astype(np.uint16)
        return writers.write_las(path, far, {"intensity": shine, "classification": found.part}, metres=1.0)
    if kind == "npz":
        np.savez(path, points=xyz.astype(np.float32), normals=found.normals.astype(np.float32), labels=found.part)
        return path
    if kind == "bin.pcd":  # some returns are missing
        xyz = xyz.copy()
        xyz[rng.random(len(xyz)) < 0.1] = np.nan
        return writers.write_pcd(path, xyz, label)
    if kind == "csv":
        return writers.write_text(path, xyz, {**colours, **label})
    again = rng.integers(0, len(xyz), len(xyz) // 10)  # points stored twice
    return writers.write_text(path, np.concatenate([xyz, xyz[again]]), header=False)


def _turn(angle: float) -> np.ndarray:
    """`[3, 3]` rotation about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
