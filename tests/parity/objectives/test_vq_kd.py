"""Card 042, step 1: the tokenizer."""

import pytest
import torch
from torch.nn import functional as F

from ssl_platform.nn.codebook import Codebook
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import total_of
from ssl_platform.targets.codes import TokenCodes
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout


def test_the_nearest_code_on_the_sphere_is_that_of_the_largest_cosine() -> None:
    torch.manual_seed(0)
    book, x = Codebook(12, 6), torch.randn(4, 5, 6)
    expected = torch.tensor([[int(F.cosine_similarity(p[None], book.rows).argmax()) for p in row] for row in x])
    assert torch.equal(book.ids(x), expected)
    distance = torch.cdist(F.normalize(x, dim=-1), book.rows.expand(4, -1, -1))
    assert torch.equal(distance.argmin(-1), expected)


def test_the_gradient_at_the_code_goes_straight_to_the_latent() -> None:
    method, backbone = built("vq-kd")
    view = small_views(method, toy_batch(4))[0]
    tokens = backbone.tokenize(view)
    latent = F.normalize(method.to_code(backbone(view).tokens), dim=-1).detach().requires_grad_()
    code = method.codebook.read(method.codebook.ids(latent)).clone().requires_grad_()
    straight = latent + (code - latent).detach()
    at_code = method.error(backbone, view, tokens, method.decoder(code, tokens.coords)).sum()
    at_latent = method.error(backbone, view, tokens, method.decoder(straight, tokens.coords)).sum()
    torch.testing.assert_close(torch.autograd.grad(at_code, code)[0], torch.autograd.grad(at_latent, latent)[0])
    loss = total_of(method(backbone, [view]))
    expected = at_latent.item() / 64
    assert loss.terms["reconstruction"].item() == pytest.approx(expected, rel=1e-4)
    pull = (latent - code).square().mean().item()
    assert loss.terms["commitment"].item() == pytest.approx(pull, rel=1e-4)


def test_codes_stay_on_the_sphere_and_one_without_members_stands_still() -> None:
    torch.manual_seed(0)
    book = Codebook(8, 4)
    clusters = F.normalize(torch.randn(6, 4), dim=1)
    points = F.normalize(clusters.repeat(10, 1) + 0.05 * torch.randn(60, 4), dim=1)
    padded = torch.cat([points, torch.zeros(5, 4)])
    book.learn(padded)
    ones = torch.ones(8)
    torch.testing.assert_close(book.rows.norm(dim=1), ones)
    first = book.rows.clone()
    some = points[:2]
    members = book.ids(some)
    book.learn(torch.cat([some, torch.zeros(3, 4)]), decay=0.9)
    torch.testing.assert_close(book.rows.norm(dim=1), ones)
    alone = torch.ones(8, dtype=torch.bool)
    alone[members] = False
    assert torch.equal(book.rows[alone], first[alone])
    for code in members.unique():
        mean = F.normalize(some[members == code].sum(0), dim=0)
        expected = F.normalize(0.9 * first[code] + 0.1 * mean, dim=0)
        torch.testing.assert_close(book.rows[code], expected)
    assert float((points @ first.T).max(1).values.mean()) > 0.97  # k-means found the clusters


def test_a_finished_tokenizer_gives_beit_its_own_codes() -> None:
    method, backbone = built("vq-kd")
    batch = toy_batch(8)
    view = small_views(method, batch)[0]
    method.codebook.learn(total_of(method(backbone, [view])).watch["points"].detach())
    parts = {
        f"{name}.{key}": value
        for name, module in method.export(backbone).parts.items()
        for key, value in module.state_dict().items()
    }
    given = TokenCodes(Frozen(backbone, parts), 999)
    tokens = backbone.tokenize(view)
    ids, _ = given(view, tokens)
    expected = method.codebook.ids(F.normalize(method.to_code(backbone(view).tokens), dim=-1))
    assert given.count == len(method.codebook) and given.codebook is None and torch.equal(ids, expected)


def test_it_lowers_the_error_uses_most_codes_and_needs_no_teacher_for_pixels() -> None:
    """At the toy's learning rate latents gather around few codes, unless the unused ones are moved (`revive`)."""

    def used(revive: float) -> float:
        torch.manual_seed(0)
        settings = {"prototypes": 64, "target": "pixels", "decay": 0.9, "revive": revive}
        method, backbone = small("vq-kd", **settings), small_backbone(depth=1)
        make(method, backbone)
        assert method.plan(method.config).models == ()
        batches = lambda n: toy_batch(16, start=16 * (n % 4))  # noqa: E731
        done = fit(method, backbone, toy_layout(2), batches, 24, window=(16, 16), lr=1e-3, build=False)
        assert done.losses[-1] < 0.85 * done.losses[0]
        view = small_views(method, toy_batch(64))[0]
        return len(method.codebook.ids(method.to_code(backbone(view).tokens)).unique()) / 64

    assert used(0.5) > 0.5 > used(0.0)


def test_unused_codes_move_to_the_points_farthest_from_theirs() -> None:
    torch.manual_seed(0)
    book = Codebook(4, 3)
    book.started.fill_(True)
    book.rows.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]]))
    book.share.copy_(torch.tensor([0.5, 0.5, 0.0, 0.01]))
    odd = F.normalize(torch.tensor([[1.0, -1, 0], [1.0, -0.5, 0]]), dim=1)
    points = torch.cat([book.rows[:2].repeat(4, 1), odd, torch.zeros(2, 3)])
    book.learn(points, decay=0.99, revive=0.5)
    torch.testing.assert_close(book.rows[2:], odd)
    torch.testing.assert_close(book.share, torch.tensor([0.5 * 0.99 + 0.006, 0.5 * 0.99 + 0.004, 0.25, 0.25]))
