"""Attention distance, mutual information and offset-local heads, against closed forms and a plain derivation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from ssl_platform.measures import (
    aligned_attention,
    attention_distance,
    attention_nmi,
    offset_heads,
    place_attention,
    uniform_distance,
)

GRIDS = [(7,), (4, 5), (3, 4, 2)]


def places(grid: tuple[int, ...]) -> torch.Tensor:
    axes = [(torch.arange(n) + 0.5) / n for n in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)[None]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_uniform_and_identity_attention(grid: tuple[int, ...]) -> None:
    coords, n = places(grid), math.prod(grid)
    uniform, identity = torch.full((1, 2, n, n), 1 / n), torch.eye(n).expand(1, 2, n, n)
    pairs = [math.dist(a, b) for a, b in itertools.product(coords[0].double().tolist(), repeat=2)]
    assert attention_distance(uniform, coords)[0].tolist() == pytest.approx([np.mean(pairs)] * 2)
    assert uniform_distance(coords).item() == pytest.approx(np.mean(pairs))
    assert attention_distance(identity, coords)[0].tolist() == [0.0, 0.0]
    assert attention_nmi(uniform)[0].tolist() == pytest.approx([0.0] * 2, abs=1e-5)
    assert attention_nmi(identity)[0].tolist() == pytest.approx([1.0] * 2)


def test_mutual_information_is_that_of_the_joint_distribution() -> None:
    rng = np.random.default_rng(0)
    counts = np.stack([rng.multinomial(1000, row) for row in rng.dirichlet(np.full(9, 0.3), 9)])
    attention = torch.from_numpy(counts / 1000)[None, None]
    expected = mutual_info_score(None, None, contingency=counts)
    key = counts.sum(0) / counts.sum()
    of_key = -(key[key > 0] * np.log(key[key > 0])).sum()
    assert attention_nmi(attention).item() == pytest.approx(expected / math.sqrt(math.log(9) * of_key))


def test_all_attention_on_one_key_tells_nothing() -> None:
    attention = torch.zeros(1, 1, 6, 6)
    attention[..., 2] = 1
    assert attention_nmi(attention).item() == 0.0


def test_prefix_tokens_are_taken_out_and_rows_renormalised() -> None:
    torch.manual_seed(0)
    whole = torch.randn(2, 3, 7, 7).softmax(-1)
    among = place_attention(whole, prefix=2)
    assert torch.allclose(among.sum(-1), torch.ones(2, 3, 5))
    assert torch.allclose(among, whole[:, :, 2:, 2:] / whole[:, :, 2:, 2:].sum(-1, keepdim=True))


def test_attention_wholly_on_the_class_token_is_unknown() -> None:
    attention = torch.zeros(1, 2, 5, 5)
    attention[:, 0, :, 0] = 1
    attention[:, 1] = torch.eye(5)
    among = place_attention(attention, prefix=1)
    distance, nmi = attention_distance(among, places((4,))), attention_nmi(among)
    assert distance[0, 0].isnan() and distance[0, 1] == 0
    assert nmi[0, 0].isnan() and nmi[0, 1] == 1


def test_invalid_tokens_change_nothing() -> None:
    torch.manual_seed(0)
    whole = torch.randn(1, 2, 6, 6).softmax(-1)
    coords, valid = places((6,)), torch.tensor([[True, True, False, True, True, False]])
    kept = valid[0].nonzero()[:, 0]
    few = whole[:, :, kept][..., kept]
    few, own = few / few.sum(-1, keepdim=True), coords[:, kept]
    among = place_attention(whole, 0, valid)
    assert torch.allclose(attention_distance(among, coords), attention_distance(few, own))
    assert torch.allclose(attention_nmi(among), attention_nmi(few))
    assert torch.allclose(uniform_distance(coords, valid), uniform_distance(own))


def neighbour(grid: tuple[int, ...], step: tuple[int, ...]) -> torch.Tensor:
    """A head of which every token attends to the one `step` away, or to itself at the edge."""
    cells = list(itertools.product(*(range(n) for n in grid)))
    rows = torch.zeros(len(cells), len(cells))
    for i, cell in enumerate(cells):
        other = tuple(a + s for a, s in zip(cell, step, strict=True))
        rows[i, cells.index(other if other in cells else cell)] = 1
    return rows


def test_a_head_that_looks_one_place_aside_is_offset_local() -> None:
    torch.manual_seed(0)
    grid = (5, 6)
    heads = torch.stack([neighbour(grid, (0, 1)), torch.eye(30), torch.full((30, 30), 1 / 30), torch.rand(30, 30)])
    aligned = aligned_attention(place_attention(heads[None]), grid)[0]
    assert aligned.flatten(1).sum(1).tolist() == pytest.approx([1.0] * 4)
    assert aligned[0, 4, 6].item() == pytest.approx(5 / 6), "one of six columns has no right neighbour"
    found = offset_heads(aligned)
    assert found.peak[0].tolist() == [0, 1] and found.local.tolist() == [True, False, False, False]
    assert found.length[0].item() == pytest.approx(5 / 6 / 5), "five steps are the whole axis"
    assert found.length[1:3].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_aligned_attention_is_the_mean_over_queries(grid: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    n = math.prod(grid)
    rows = torch.rand(1, 1, n, n).softmax(-1)
    cells = list(itertools.product(*(range(s) for s in grid)))
    expected = torch.zeros([2 * s - 1 for s in grid])
    for (i, a), (j, b) in itertools.product(enumerate(cells), repeat=2):
        expected[tuple(q - p + s - 1 for p, q, s in zip(a, b, grid, strict=True))] += rows[0, 0, i, j] / n
    assert torch.allclose(aligned_attention(rows, grid)[0, 0], expected, atol=1e-6)
