"""Doctor checks: each does what a run would do, in a temporary folder, and says what worked in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.readers import read_cloud

_POINTS = np.random.default_rng(0).uniform(-1, 1, (200, 3)).round(3)
_COLOURS = {name: np.arange(200, dtype=np.uint8) for name in ("red", "green", "blue")}


def _same(path: Path, places: float = 1e-3) -> str:
    cloud = read_cloud(path)
    if cloud.xyz.shape != _POINTS.shape or np.abs(cloud.xyz - _POINTS).max() > places:
        raise RuntimeError(f"{path.name} was read differently from what was written")
    return f"{len(cloud.xyz)} points"


def ply() -> str:
    """PLY and PCD, which need no library."""
    with tempfile.TemporaryDirectory() as folder:
        _same(writers.write_ply(Path(folder, "x.ply"), _POINTS, _COLOURS))
        path = writers.write_pcd(Path(folder, "x.pcd"), _POINTS, _COLOURS, encoding="binary_compressed")
        return f"PLY and compressed PCD read back, {_same(path)}"


def las() -> str:
    """LAS and LAZ through laspy and lazrs."""
    with tempfile.TemporaryDirectory() as folder:
        _same(writers.write_las(Path(folder, "x.las"), _POINTS), 2e-3)
        return f"LAS and LAZ read back, {_same(writers.write_las(Path(folder, 'x.laz'), _POINTS), 2e-3)}"


def mesh() -> str:
    """A mesh through trimesh, and points on it."""
    from ssl_platform_pointcloud.readers.mesh import surface_points

    corners, faces = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])
    with tempfile.TemporaryDirectory() as folder:
        cloud = surface_points(read_cloud(writers.write_mesh(Path(folder, "x.off"), corners, faces)), 100)
    if np.abs(cloud.xyz[:, 2]).max() > 1e-9 or cloud.xyz[:, :2].sum(axis=1).max() > 1 + 1e-9:
        raise RuntimeError("points drawn on a triangle lie beside it")
    return f"OFF read through trimesh, {len(cloud.xyz)} points drawn on it"


def tokens() -> str:
    """Groups of points on the device that a run would use."""
    import torch

    from ssl_platform.nn.point_groups import group_points

    device = "cuda" if torch.cuda.is_available() else "cpu"
    groups = group_points(torch.rand(4, 512, 3, device=device), 32, 16)
    return f"farthest points and their neighbours on {device}, {tuple(groups.member.shape)}"
