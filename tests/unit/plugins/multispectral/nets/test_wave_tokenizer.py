"""Kernels made from wavelengths: order, number and absence of bands do not matter, wavelengths do."""

import pytest
import torch

from ssl_platform.types import View
from ssl_platform_multispectral.nets.wave_tokenizer import WaveTokenizer

MICROMETRES = (0.49, 0.56, 0.665, 0.842, 1.61, 2.19)


def tokenizer(micrometres=MICROMETRES, weights=None):
    torch.manual_seed(0)
    made = WaveTokenizer(micrometres, (4, 4), 16, weight_tokens=8).eval()
    if weights is not None:
        made.load_state_dict(weights.state_dict())
    return made


def view(channels=6, **changes):
    return View(torch.randn(2, channels, 12, 8, generator=torch.Generator().manual_seed(1)), **changes)


def test_permuting_bands_with_their_wavelengths_changes_nothing():
    order = [3, 0, 5, 1, 4, 2]
    net, seen = tokenizer(), view()
    other = tokenizer([MICROMETRES[i] for i in order], net)
    turned = seen.replace(x=seen.x[:, order])
    assert torch.allclose(net(seen).values, other(turned).values, atol=1e-5)
    assert not torch.allclose(net(seen).values, net(turned).values, atol=1e-3)


def test_tokens_are_affine_in_the_values():
    net, seen = tokenizer(), view()
    zero = net(seen.replace(x=torch.zeros_like(seen.x))).values
    once, twice = net(seen).values - zero, net(seen.replace(x=2 * seen.x)).values - zero
    assert torch.allclose(2 * once, twice, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 13, 202])
def test_one_set_of_parameters_serves_any_number_of_bands(count):
    net = tokenizer(tuple(torch.linspace(0.4, 2.5, count).tolist()), tokenizer())
    assert net(view(count)).values.shape == (2, 6, 16)


def test_absent_bands_leave_the_tokens_of_a_model_without_them():
    net, seen = tokenizer(), view()
    kept = torch.tensor([[True, True, True, False, False, True]] * 2)
    absent = seen.replace(x=torch.where(kept[:, :, None, None], seen.x, 0.0), channel_valid=kept)
    few = [i for i in range(6) if kept[0, i]]
    alone = tokenizer([MICROMETRES[i] for i in few], net)(View(seen.x[:, few]))
    assert torch.allclose(net(absent).values, alone.values, atol=1e-5)
    # and each sample of a mixed batch is as in a batch of its own
    mixed = seen.replace(channel_valid=torch.stack([kept[0], torch.ones(6, dtype=torch.bool)]))
    mixed = mixed.replace(x=torch.where(mixed.channel_valid[:, :, None, None], seen.x, 0.0))
    assert torch.allclose(net(mixed).values[1], net(seen).values[1], atol=1e-5)


def test_every_parameter_learns_from_any_sensor():
    for micrometres in ((3.75, 3.75), MICROMETRES, (0.665, 0.56, 0.49)):
        net = tokenizer(micrometres)
        net(view(len(micrometres))).values.square().sum().backward()
        assert all(p.grad is not None for name, p in net.named_parameters())
        assert float(net.to_kernel.weight.grad.abs().sum()) > 0


def test_a_band_between_two_others_gets_a_kernel_between_theirs():
    net = tokenizer((0.55, 0.56, 0.57, 2.19))
    kernel = net.kernel()[0][0]
    near, far = (torch.cosine_similarity(kernel[1].flatten(), kernel[i].flatten(), 0) for i in (0, 3))
    assert near > far


def test_targets_are_those_of_plain_patches():
    net, seen = tokenizer(), view()
    assert torch.equal(net.reconstruct(net.targets(seen), seen), seen.x)
