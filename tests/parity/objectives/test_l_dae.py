"""Against the paper's formulas written patch by patch.

Not held here: that noise in few components teaches more than noise in all of them, which takes long runs.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ssl_platform import losses
from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbones import build
from ssl_platform.nn.patch_basis import PatchBasis, cosines, moments
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.masked.l_dae import LDAE
from ssl_platform.testing.objectives import as_batch, built, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Step


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fitted(width: int = 12) -> tuple[PatchBasis, Tensor]:
    patches = noise(8, 50, width) @ noise(width, width, seed=1)
    basis = PatchBasis((width // 4, 4)).double()
    basis.add(*moments(patches))
    basis.fit()
    return basis, patches


def test_components_are_orthonormal_and_by_falling_variance() -> None:
    basis, patches = fitted()
    for rows in (basis.basis, cosines((4, 3, 2)).double()):
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows), dtype=torch.float64), atol=1e-5, rtol=0)
    assert (basis.variance.diff() <= 1e-12).all()
    x = patches.flatten(0, 1)
    torch.testing.assert_close((x @ basis.basis.T).square().mean(0), basis.variance)
    expected = torch.linalg.svd(x).S.square() / len(x)
    torch.testing.assert_close(basis.variance, expected)
    valid = torch.zeros(8, 50, dtype=torch.bool)
    valid[:, :20] = True
    torch.testing.assert_close(moments(patches, valid)[0], moments(patches[:, :20])[0])
    with pytest.raises(ConfigError, match="patch"):
        PatchBasis((32, 32, 32))


def test_noise_stays_in_the_first_components() -> None:
    basis, patches = fitted()
    v, sigma = basis.basis, torch.linspace(0, 1.4, 8, dtype=torch.float64)
    eps = noise(8, 50, 3, seed=2)
    noisy = losses.noisy_components(patches, v, eps, sigma)
    assert float((noisy @ v[3:].T).abs().max()) < 1e-10
    torch.testing.assert_close(noisy[0], patches[0] @ v[:3].T @ v[:3])
    one = v[:3].T @ (v[:3] @ patches[5, 7] + sigma[5] * eps[5, 7])
    torch.testing.assert_close(noisy[5, 7], one)


def test_closed_forms_of_the_loss() -> None:
    basis, patches = fitted()
    v, sigma = basis.basis, torch.linspace(0, 1.4, 8, dtype=torch.float64)
    assert not losses.component_error(patches, patches, v, 3, sigma=sigma).any()
    low = patches @ v[:3].T @ v[:3]
    residual = (patches - low).square().sum(-1)
    found = losses.component_error(low, patches, v, 3, sigma=sigma)
    torch.testing.assert_close(found, 0.1 * residual / (1 + sigma.square())[:, None])
    prediction = noise(8, 50, 12, seed=4)
    found = losses.component_error(prediction, patches, v, 3, 0.1, sigma)
    r = v @ (patches[4, 9] - prediction[4, 9])
    expected = sum((1.0 if i < 3 else 0.1) * float(r[i]) ** 2 for i in range(12)) / (1 + float(sigma[4]) ** 2)
    assert float(found[4, 9]) == pytest.approx(expected)


def test_the_objective_is_the_formula_and_learns_its_components() -> None:
    method, backbone = built("l-dae", channels=2, basis_steps=3)
    assert isinstance(method, LDAE) and method.kept == 8  # a quarter of 4 x 4 x 2
    views = small_views(method, toy_batch(4, channels=2), channels=2)
    start = method.basis.basis.clone()
    loss = total_of(method(backbone, views))

    view = backbone.normalise(views[0])
    patches = backbone.tokenizer.targets(view)
    sigma = method.level(view)
    assert (sigma >= 0).all() and (sigma <= math.sqrt(2)).all() and sigma.unique().numel() == 4
    noisy = losses.noisy_components(patches, start, view.random.normal("noise", 16, 8), sigma)
    features = backbone.encode(backbone.tokenizer(view.replace(x=backbone.tokenizer.reconstruct(noisy, view))))
    error = losses.component_error(method.decoder(features), patches, start, 8, sigma=sigma)
    torch.testing.assert_close(loss.total, error.mean() / 32)

    for number in range(5):
        step = Step(number, 5, 1, 4, 1e-3)
        method.before_step(step)
        seen = total_of(method(backbone, views)).watch
        assert ("moment" in seen) == (number < 3)
        method.after_step(step, backbone, [seen], [views])
        assert torch.equal(method.basis.count, torch.tensor(64.0 * min(number + 1, 3)))
    assert not torch.equal(method.basis.basis, start)
    torch.testing.assert_close(method.basis.basis @ method.basis.basis.T, torch.eye(32), atol=1e-5, rtol=0)


def test_ragged_channels_have_components_of_their_own_kind() -> None:
    torch.manual_seed(0)
    layout = toy_layout(2, 3, ragged=True)
    backbone = build("vit-pico", layout, ("c0", "c1", "c2"), (16, 16), (4, 4), depth=2, tokenizer="channel")
    method = small("l-dae")
    method.build(backbone, {})
    view = small_views(method, as_batch(torch.randn(4, 3, 16, 16), 2), channels=3)[0]
    view = view.replace(channel_valid=torch.tensor([[True, True, False]] * 4), channels=("c0", "c1", "c2"))
    loss = total_of(method(backbone, [view]))
    assert method.basis.basis.shape == (16, 16) and float(loss.watch["count"]) == 4 * 2 * 16
    other = view.replace(x=torch.cat([view.x[:, :2], torch.randn(4, 1, 16, 16)], 1))
    assert torch.equal(total_of(method(backbone, [other])).total, loss.total)
    loss.total.backward()


def test_a_basis_of_all_components_is_pixel_space() -> None:
    method, _ = built("l-dae", dims=None)
    assert method.kept == 16
    assert small_backbone().tokenizer.target_dim == 16
