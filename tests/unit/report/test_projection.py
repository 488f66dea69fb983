from __future__ import annotations

import math

import torch

from ssl_platform.report.projection import SMALL, affinities, principal, project


def clusters(each: int = 20, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(count, 16, generator=generator) * 3
    label = torch.arange(count).repeat_interleave(each)
    return centres[label] + 0.2 * torch.randn(len(label), 16, generator=generator), label


def test_the_same_embeddings_give_the_same_map() -> None:
    z, _ = clusters()
    torch.manual_seed(1)
    first, method = project(z)
    torch.manual_seed(2)
    torch.set_num_threads(2)
    second, _ = project(z)
    assert torch.get_num_threads() == 2
    assert method == "tsne" and torch.equal(first, second)


def test_the_map_lies_in_the_unit_square_and_fills_one_side() -> None:
    places, _ = project(clusters()[0])
    assert places.min() >= -1e-6 and places.max() <= 1 + 1e-6
    assert math.isclose(float((places.max(0).values - places.min(0).values).max()), 1.0, rel_tol=1e-5)


def test_neighbours_stay_neighbours() -> None:
    z, label = clusters()
    places, _ = project(z)
    distance = torch.cdist(places, places).fill_diagonal_(math.inf)
    nearest = distance.topk(5, largest=False).indices
    assert (label[nearest] == label[:, None]).float().mean() > 0.99


def test_few_items_stay_at_their_principal_components() -> None:
    z = clusters(each=3)[0]
    places, method = project(z)
    assert method == "pca" and len(z) < SMALL and places.shape == (9, 2)


def test_principal_components_are_those_of_the_covariance() -> None:
    x = torch.randn(50, 5, generator=torch.Generator().manual_seed(3)) * torch.tensor([5.0, 2.0, 1.0, 0.5, 0.1])
    scores = principal(x)
    values = torch.linalg.eigvalsh(torch.cov(x.T.double())).flip(0)[:2]
    assert torch.allclose(scores.double().var(dim=0), values, rtol=1e-4)
    assert abs(float(torch.corrcoef(scores.T)[0, 1])) < 1e-4
    assert torch.allclose(principal(-x), -scores, atol=1e-4) or torch.allclose(
        principal(-x).abs(), scores.abs(), atol=1e-4
    )


def test_every_row_has_the_perplexity_asked_for() -> None:
    x = clusters()[0]
    joint = affinities(x, 10.0)
    assert torch.allclose(joint, joint.T) and math.isclose(float(joint.sum()), 1.0, rel_tol=1e-4)
    one = affinities(torch.eye(40), 7.0)  # all equally far: no bandwidth can do better than uniform
    off = one[~torch.eye(40, dtype=torch.bool)]
    assert torch.allclose(off, off[0].expand_as(off))


def test_a_collapsed_representation_is_one_place() -> None:
    places, method = project(torch.ones(30, 8))
    assert method == "pca" and torch.allclose(places, torch.full((30, 2), 0.5))


def test_one_dimension_is_a_line() -> None:
    places, _ = project(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    assert places.shape == (3, 2) and places.isfinite().all()
