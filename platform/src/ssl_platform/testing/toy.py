"""Toy batches with known structure, for tests of objectives on any rank and on point sets.

A sample's class is the texture of a patch (its orientation or frequency along the axes); its position, brightness and
sign vary independently, so neither mean intensity nor place tells the class.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ssl_platform.draws import Draws
from ssl_platform.types import Batch, Channel, Layout, PartBatch

_AXES = {1: "C T", 2: "C H W", 3: "C D H W"}


def toy_layout(rank: int = 2, channels: int = 1, points: bool = False, ragged: bool = False) -> Layout:
    """The layout of the toy grids (any rank 1 to 3) or point sets (rank 3, coordinates and `channels` features)."""
    if points:
        names = tuple(Channel(n) for n in ("x", "y", "z", *(f"f{i}" for i in range(channels - 1))))
        return Layout("N C", names, symmetries=frozenset({"rotate:XY", "scale", "noise"}))
    axes = _AXES[rank]
    spatial = axes.split()[1:]
    planes = {f"rot90:{a}{b}" for a, b in itertools.combinations(spatial, 2)}
    mirrored = {f"flip:{spatial[-1]}"} if rank > 1 else set()  # a signal has a beginning and an end
    return Layout(
        axes,
        tuple(Channel(f"c{i}", bounds=(0.0, 1.0)) for i in range(channels)),
        unit="mm",
        symmetries=frozenset({*mirrored, "gain", "offset", "noise"}),
        moves=frozenset({*planes, f"flip:{spatial[0]}", "shuffle"}),
        ragged_channels=ragged,
        relations=("same", "overlap", "time"),
    )


def toy_batch(
    batch: int = 8,
    rank: int = 2,
    size: int = 16,
    channels: int = 1,
    *,
    points: bool = False,
    reads: int = 1,
    classes: int = 4,
    start: int = 0,
    items: int | None = None,
    text: bool = False,
) -> Batch:
    """A batch of structured samples.

    Args:
        batch: samples B.
        rank: spatial rank of the grid.
        size: cells along each axis (or points in a set, times 4).
        channels: channels C of a grid.
        points: point sets instead of grids.
        reads: reads of each sample; later reads show the same sample with another brightness ("season").
        classes: classes; sample i has class `i % classes`.
        start: first position in the run.
        items: items in the set; positions wrap around. None: as many as positions.
        text: adds a part `text` whose four symbols name the class and the sample's brightness.
    """
    position = torch.arange(start, start + batch)
    index = position if items is None else position % items
    label = index % classes
    draws = Draws.at(7, index)
    make = _points if points else _grids
    made = tuple(make(draws, label, rank, size, channels, read) for read in range(reads))
    if text:
        bright = (draws.uniform("bright") * 4).long()
        symbols = torch.stack(
            [label, label + classes, bright + 2 * classes, torch.full_like(label, 2 * classes + 4)], 1
        )
        ones = torch.ones(batch, 1)
        for read in made:
            read["text"] = PartBatch(symbols[:, None, :], None, None, ones, 0 * ones, ("symbol",))
    return Batch(reads=made, index=index, group=index // 2, position=position, label=label)


def _grids(draws: Draws, label: Tensor, rank: int, size: int, channels: int, read: int) -> dict[str, PartBatch]:
    b = len(draws)
    axes = torch.meshgrid(*[torch.arange(size, dtype=torch.float32)] * rank, indexing="ij")
    grid = torch.stack(axes)  # [S, *size]
    spread = [1] * rank
    centre = draws.uniform("centre", rank, low=0.3 * size, high=0.7 * size).view(b, rank, *spread)
    blob = torch.exp(-((grid - centre) ** 2).sum(1) / (2 * (0.22 * size) ** 2))
    along = grid[0] if rank == 1 else None
    wave = torch.zeros_like(blob)
    for c in range(int(label.max()) + 1):
        if along is None:
            angle = math.pi * c / 4
            phase = (math.cos(angle) * grid[-1] + math.sin(angle) * grid[-2]) * 2 * math.pi / 4
        else:
            phase = along * 2 * math.pi / (3 + 2 * c)
        wave = torch.where((label == c).view(b, *spread), torch.sin(phase)[None], wave)
    bright = draws.uniform("bright", low=0.3, high=0.6).view(b, *spread) + 0.1 * read
    value = bright + 0.4 * blob * wave
    data = torch.stack([value * (1.0 - 0.15 * c) + 0.05 * c for c in range(channels)], dim=1)
    data = data + 0.02 * draws.normal(f"noise{read}", channels, *[size] * rank)
    names = tuple(f"c{i}" for i in range(channels))
    return {"main": PartBatch(data, None, None, torch.ones(b, rank), torch.zeros(b, rank), names)}


def _points(draws: Draws, label: Tensor, rank: int, size: int, channels: int, read: int) -> dict[str, PartBatch]:
    b, n = len(draws), 4 * size
    u = draws.uniform(f"surface{read}", n, 2)
    theta, z = 2 * math.pi * u[..., 0], 2 * u[..., 1] - 1
    waves = 1 + 0.35 * torch.cos((label[:, None] + 1) * theta)
    xyz = torch.stack([waves * theta.cos(), waves * theta.sin(), 0.8 * z], dim=-1)
    xyz = xyz * draws.uniform("scale", 1, 1, low=0.8, high=1.2)
    extra = torch.ones(b, n, channels - 1) * waves[..., None] if channels > 1 else torch.empty(b, n, 0)
    names = ("x", "y", "z", *(f"f{i}" for i in range(channels - 1)))
    data = torch.cat([xyz, extra], dim=-1)
    return {"main": PartBatch(data, None, None, torch.ones(b, 3), torch.zeros(b, 3), names)}
