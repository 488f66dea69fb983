"""Surfaces: OFF, OBJ and STL through trimesh, and points drawn on any mesh."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud.cloud import Cloud, Header


def read_header(path: Path) -> Header:
    """Vertices and faces; reading them takes reading the file.

    Raises:
        Unreadable: it is not a mesh.
    """
    mesh = _load(path)
    return Header("mesh", len(mesh.xyz), faces=0 if mesh.faces is None else len(mesh.faces))


def read(path: Path, number: int = 0, step: int = 1) -> Cloud:
    """Vertices and triangles.

    Raises:
        Unreadable: it is damaged.
    """
    return _load(path)


def _load(path: Path) -> Cloud:
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.ERROR)
    try:
        with path.open("rb") as stream:
            loaded: Any = trimesh.load(
                stream, file_type=path.suffix[1:].lower(), force="mesh", process=False, skip_materials=True
            )
        xyz, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
    except OSError:
        raise
    except Exception as error:  # trimesh raises whatever it meets in damaged text
        why = " ".join(str(error).split())[:120]
        raise Unreadable(f"not a readable {path.suffix[1:].upper()} file ({why or type(error).__name__})") from None
    if not len(xyz):
        raise Unreadable(f"not a readable {path.suffix[1:].upper()} file (it has no vertices)")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(xyz)):
        raise Unreadable(f"its faces name vertex {int(faces.max())} of {len(xyz)}: truncated or damaged")
    return Cloud(xyz, {}, faces if len(faces) else None)


def surface_points(mesh: Cloud, count: int) -> Cloud:
    """Points spread evenly over the area of a mesh, the same every time, with the normals of their triangles.

    Args:
        mesh: with triangles.
        count: points.

    Raises:
        Unreadable: its triangles have no area.
    """
    import trimesh

    assert mesh.faces is not None
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.xyz):
        raise Unreadable(f"its faces name vertex {int(mesh.faces.max())} of {len(mesh.xyz)}: truncated or damaged")
    corners = mesh.xyz[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    if not np.isfinite(area).all() or area.sum() <= 0:
        raise Unreadable("its triangles have no area")
    surface = trimesh.Trimesh(mesh.xyz, mesh.faces, process=False)
    points, chosen = trimesh.sample.sample_surface(surface, count, seed=0)[:2]
    unit = (normal / np.maximum(area, 1e-30)[:, None])[chosen].astype(np.float32)
    return Cloud(np.asarray(points, np.float64), dict(zip(("nx", "ny", "nz"), unit.T, strict=True)))
