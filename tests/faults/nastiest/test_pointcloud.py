"""The nastiest point clouds: used by a rule that is said, or refused in one line with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)


def cloud(count: int = 600) -> np.ndarray:
    return RNG.normal(size=(count, 3))


def decimal_commas(path: Path) -> None:
    lines = [";".join(f"{v:.3f}" for v in point).replace(".", ",") for point in cloud(60)]
    path.write_text("\n".join(["x;y;z", *lines]), encoding="utf-8")


def half_nan(path: Path) -> None:
    points = cloud()
    points[::2] = np.nan
    np.save(path, points)


def glued_header(path: Path) -> None:
    """ModelNet40 has such files: the counts stand behind OFF without a line break."""
    path.write_text("OFF4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n", encoding="utf-8")


def good(path: Path) -> None:
    from ssl_platform_pointcloud.writers import write_ply

    write_ply(path, cloud(500))


GOOD = "good{}.ply"
NASTIEST = {
    "modelnet.off": (glued_header, True, "quarantined: 3"),
    "half_nan.npy": (half_nan, True, "noted: points that are NaN or infinite are left out (1 item, such as half_nan."),
    "depth.npy": (
        lambda path: np.save(path, cloud(40 * 64).reshape(40, 64, 3)),
        True,
        "noted: one of 40 clouds of 64 points in one array (40 items",
    ),
    "stray.npy": (
        lambda path: np.save(path, np.r_[cloud(), [[1e6, 0, 0]]]),
        True,
        "of its extent: remove the stray points far away",
    ),
    "rounded.npy": (
        lambda path: np.save(path, (RNG.uniform(0, 1, (600, 3)) + np.array([5e5, 4.5e6, 100])).astype(np.float32)),
        True,
        "rounded.npy: its coordinates come in steps of 0.5 m, far from the origin: rounded to float32?",
    ),
    "commas.csv": (decimal_commas, False, "its numbers have decimal commas"),
    "one_place.xyz": (lambda path: path.write_text("1 1 1\n" * 100), False, "points lie in one place"),
    "pointer.ply": (None, False, "a Git LFS pointer"),
}


def test_it_is_used_by_a_rule_or_refused_with_a_way_out(told, nasty: str) -> None:
    told.check(nasty)
