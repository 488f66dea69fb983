import math

from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_platform.data.draw import Stratum, bins, deal, order_key

SHARES = (0.6, 0.2, 0.2)

groups = st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1), min_size=1, max_size=60).map(
    lambda held: [Stratum(f"g{i}", classes, sum(classes.values())) for i, classes in enumerate(held)]
)


def test_the_order_is_fixed_for_ever():
    assert order_key(0, "patient 1").hex() == "561a125eb4e6fec3"
    assert order_key(1, "patient 1") != order_key(0, "patient 1")


@given(groups, st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_group_is_dealt_once_whatever_the_order(held, seed, random):
    dealt = deal(held, SHARES, seed, first=(0, 2, 1))
    assert dealt.keys() == {group.name for group in held} and set(dealt.values()) <= {0, 1, 2}
    shuffled = list(held)
    random.shuffle(shuffled)
    assert deal(shuffled, SHARES, seed, first=(0, 2, 1)) == dealt


@given(st.integers(3, 400), st.integers(2, 4), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_classes_of_equal_groups_are_spread_by_the_shares(count, classes, seed):
    held = [Stratum(f"g{i}", {f"c{i % classes}": 1}, 1) for i in range(count)]
    dealt = deal(held, SHARES, seed, first=(0, 2, 1))
    for k in range(classes):
        members = [dealt[group.name] for group in held if f"c{k}" in group.classes]
        for part, share in enumerate(SHARES):
            assert abs(members.count(part) - share * len(members)) <= 1.0 + 1e-9


@given(st.integers(1, 12), st.integers(0, 20))
def test_a_rare_class_serves_train_then_test_then_val(count, seed):
    held = [Stratum(f"g{i}", {"rare": 1}, 1) for i in range(count)]
    parts = set(deal(held, SHARES, seed, first=(0, 2, 1)).values())
    assert parts == {1: {0}, 2: {0, 2}}.get(count, {0, 1, 2})


def test_a_group_that_is_added_does_not_shuffle_the_others():
    held = [Stratum(f"g{i}", {"a": 1}, 1) for i in range(1000)]
    before = deal(held, SHARES, 0, first=(0, 2, 1))
    after = deal([*held, Stratum("new", {"a": 1}, 1)], SHARES, 0, first=(0, 2, 1))
    position = sorted(after, key=lambda name: order_key(0, name)).index("new")
    earlier = sorted(before, key=lambda name: order_key(0, name))[:position]
    assert all(before[name] == after[name] for name in earlier)


def test_folds_are_of_one_size():
    held = [Stratum(f"g{i}", {f"c{i % 2}": 1}, 1) for i in range(50)]
    dealt = list(deal(held, [0.2] * 5, 0).values())
    assert [dealt.count(k) for k in range(5)] == [10] * 5


def test_bins_are_quantiles():
    made = bins({f"g{i}": math.exp(i) for i in range(10)})
    assert [made[f"g{i}"] for i in range(10)] == [f"bin {i // 2}" for i in range(10)]
