import pytest

from ssl_platform.types import Row
from ssl_platform_multispectral.checks import absurd, unlike_set

GOOD = {"min": 0.0, "max": 0.9, "mean": 0.15, "std": 0.1, "valid": 1.0}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, None),
        ({"mean": 1800.0, "max": 9000.0}, "not scaled"),
        ({"mean": 1e-5, "max": 9e-5}, "scaled twice? set data.scale=1"),
        ({"mean": -0.05}, "taken off twice"),
        ({"min": 0.2, "max": 0.2}, "every value is 0.2"),
    ],
)
def test_reflectance_that_cannot_be_is_named(facts, words):
    row = Row("x", "/x", (8, 8), channels=("S2-B04", "S2-B08"))
    found = absurd(row, {**GOOD, **facts})
    assert found is None if words is None else words in found


def test_radar_may_be_negative_but_not_loud():
    row = Row("x", "/x", (8, 8), channels=("S1-VV",))
    assert absurd(row, {**GOOD, "mean": -12.0}) is None
    assert "uncalibrated" in absurd(row, {**GOOD, "mean": 48.0})


def test_one_scene_far_from_its_set_is_named():
    facts = {f"{n}": {"mean": 0.1 + 0.01 * n} for n in range(6)}
    assert unlike_set(facts) == {}
    assert list(unlike_set({**facts, "odd": {"mean": 4.0}})) == ["odd"]
    assert unlike_set({"a": {"mean": 0.1}, "b": {"mean": 9.0}}) == {}
