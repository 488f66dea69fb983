"""Few tiles spread over the tissue: card 004's acceptance."""

import numpy as np

from ssl_platform_wholeslide.selection import apart, spread


def grid(rows, columns, side=64):
    return np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(-1, 2) * side


def test_all_where_there_are_few_and_never_more_than_asked():
    assert np.array_equal(spread(grid(3, 3), (64, 64), 20), np.arange(9))
    for most in (1, 5, 30, 60):
        chosen = spread(grid(12, 20), (64, 64), most)
        assert len(chosen) == most == len(set(chosen.tolist())) and (np.diff(chosen) > 0).all()


def test_those_taken_first_are_two_sides_apart():
    places = grid(12, 20) / 64
    kept = apart(places, np.random.default_rng(0))
    distance = np.linalg.norm(places[kept][:, None] - places[kept][None], axis=-1) + 10 * np.eye(len(kept))
    assert distance.min() >= 2 and len(kept) >= 40
    # nothing that was passed over lies two sides from all of them
    gaps = np.linalg.norm(places[:, None] - places[kept][None], axis=-1).min(1)
    assert gaps.max() < 2
    inside = set(kept.tolist())
    assert set(spread(grid(12, 20), (64, 64), 30, seed=0).tolist()) <= inside


def test_a_seed_decides():
    assert np.array_equal(spread(grid(9, 9), (64, 64), 7, seed=3), spread(grid(9, 9), (64, 64), 7, seed=3))
    assert not np.array_equal(spread(grid(9, 9), (64, 64), 7, seed=3), spread(grid(9, 9), (64, 64), 7, seed=4))


def test_few_tiles_cover_more_of_the_tissue_than_as_many_drawn_at_random():
    starts, rng = grid(24, 24), np.random.default_rng(1)

    def reach(chosen):
        return np.linalg.norm(starts[:, None] - starts[chosen][None], axis=-1).min(1).mean()

    ours = [reach(spread(starts, (64, 64), 100, seed)) for seed in range(10)]
    theirs = [reach(rng.choice(len(starts), 100, replace=False)) for _ in range(10)]
    assert np.mean(ours) < 0.95 * np.mean(theirs)
