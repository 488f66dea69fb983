import numpy as np
import torch

from ssl_platform.losses.points import chamfer


def brute(a, b):
    apart = ((a[:, None] - b[None]) ** 2).sum(-1)
    return apart.min(1).mean() + apart.min(0).mean()


def test_equals_brute_force_and_is_symmetric():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 7, 3)), rng.normal(size=(4, 5, 3))
    found = chamfer(torch.tensor(a), torch.tensor(b))
    np.testing.assert_allclose(found, [brute(x, y) for x, y in zip(a, b, strict=True)], atol=1e-12)
    torch.testing.assert_close(found, chamfer(torch.tensor(b), torch.tensor(a)))


def test_order_and_translation_do_not_matter():
    a, b = torch.randn(2, 6, 3).double(), torch.randn(2, 6, 3).double()
    assert (chamfer(a, a[:, torch.randperm(6)]) == 0).all()
    torch.testing.assert_close(chamfer(a + 3, b + 3), chamfer(a, b))


def test_gradient():
    a = torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: chamfer(x, torch.arange(12.0).double().view(1, 4, 3)), (a,))


def test_points_that_are_not_real_change_nothing():
    a, b = torch.randn(2, 5, 3), torch.randn(2, 6, 3)
    valid = torch.tensor([[True] * 4 + [False] * 2, [False] * 6])
    found = chamfer(a, b, valid)
    torch.testing.assert_close(found[0], chamfer(a[:1], b[:1, :4])[0])
    assert found[1] == 0
    b[:, 4:] = 99
    torch.testing.assert_close(chamfer(a, b, valid), found)
