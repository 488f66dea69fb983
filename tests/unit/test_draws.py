import torch

from ssl_platform.draws import Draws


def test_draws_do_not_depend_on_how_positions_are_batched() -> None:
    whole = Draws.at(3, torch.arange(10))
    parts = [Draws.at(3, torch.arange(0, 4)), Draws.at(3, torch.arange(4, 10))]
    assert torch.equal(whole.uniform("crop", 2, 3), torch.cat([p.uniform("crop", 2, 3) for p in parts]))
    assert torch.equal(whole.select(slice(4, 10)).bits("x"), parts[1].bits("x"))


def test_names_seeds_children_and_positions_give_other_draws() -> None:
    draws = Draws.at(0, torch.arange(64))
    streams = [
        draws.uniform("a", 32),
        draws.uniform("b", 32),
        draws.child("view").uniform("a", 32),
        Draws.at(1, torch.arange(64)).uniform("a", 32),
    ]
    for i, first in enumerate(streams):
        for second in streams[i + 1 :]:
            correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
            assert abs(float(correlation)) < 0.1


def test_uniform_and_normal_have_their_moments() -> None:
    draws = Draws.at(0, torch.arange(2000))
    u, z = draws.uniform("u", 50), draws.normal("z", 50)
    assert float(u.min()) >= 0 and float(u.max()) < 1
    assert abs(float(u.mean()) - 0.5) < 0.005 and abs(float(u.var()) - 1 / 12) < 0.002
    assert abs(float(z.mean())) < 0.02 and abs(float(z.std()) - 1) < 0.02
    # Uniform in one and in two dimensions: every cell of a 16 x 16 grid of consecutive draws is hit equally often.
    cells = (u[:, 0::2] * 16).long() * 16 + (u[:, 1::2] * 16).long()
    counts = torch.bincount(cells.flatten(), minlength=256).double()
    expected = counts.mean()
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert 170 < chi2 < 350  # 255 degrees of freedom: mean 255, standard deviation 22.6


def test_permutation_is_one_and_reaches_every_order_equally() -> None:
    orders = Draws.at(0, torch.arange(6000)).permutation("p", 3)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(3).expand(6000, 3))
    counts = torch.bincount(orders[:, 0] * 9 + orders[:, 1] * 3 + orders[:, 2])
    counts = counts[counts > 0]
    assert len(counts) == 6 and int(counts.min()) > 850 and int(counts.max()) < 1150


def test_golden_values_are_stable_across_releases() -> None:
    got = Draws.at(0, torch.tensor([0, 1])).uniform("golden", 2)
    torch.testing.assert_close(got, GOLDEN, atol=0, rtol=0)


GOLDEN = torch.tensor([[0.7027931213378906, 0.3522185683250427], [0.4409429430961609, 0.9582568407058716]])
