"""Values: what is finite, what is HU, what is absurd."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.intensity import absurd, finite, hounsfield, statistics, unit_range, unlike_set


def facts(values, percentiles=(0.5, 99.5)):
    return statistics(np.asarray(values, dtype=np.float32).reshape(1, 1, -1), None, percentiles)


def test_finite_is_none_when_all_are():
    assert finite(np.zeros((1, 2, 2, 2), np.float32)) is None
    assert finite(np.zeros((1, 2, 2, 2), np.int16)) is None
    # Sums beyond float64 must not be taken for values that are not finite.
    assert finite(np.full((1, 2, 2, 2), 1e308)) is None


def test_one_bad_channel_makes_a_cell_invalid():
    data = np.zeros((2, 2, 2, 2), np.float32)
    data[1, 0, 1, 0] = np.inf
    valid = finite(data)
    assert valid is not None and (~valid).sum() == 1 and not valid[0, 1, 0]


def test_all_nan_is_refused():
    with pytest.raises(Unreadable, match="every voxel"):
        finite(np.full((1, 2, 2, 2), np.nan))


def test_statistics_count_valid_cells_only():
    values = np.array([0.0, 1.0, 2.0, 3.0, 1e9]).reshape(1, 1, 5)
    found = statistics(values, values < 1e6, (0.0, 100.0))
    assert found["max"] == found["high"] == 3.0 and found["mean"] == 1.5 and found["invalid"] == pytest.approx(0.2)


def test_hounsfield_units_keep_metal_and_cut_padding():
    assert hounsfield(np.array([-3024.0, -1024.0, 0.6, 12000.0])).tolist() == [-1024, -1024, 1, 12000]


def test_unit_range_falls_back_to_the_extremes():
    values = np.zeros(1000)
    values[0] = 5.0
    out = unit_range(values, facts(values))
    assert out.max() == 1.0 and out.min() == 0.0
    with pytest.raises(Unreadable, match="every voxel is 7"):
        unit_range(np.full(10, 7.0), facts(np.full(10, 7.0)))


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [(0, 255, "8-bit"), (0, 3000, "intercept"), (-1000, 60000, "slope"), (-1000, 1500, None)],
)
def test_ct_that_is_not_hounsfield_is_named(low, high, why):
    message = absurd(facts(np.linspace(low, high, 500)), "ct")
    assert (message is None) if why is None else (why in message)


def test_a_spike_is_named_elsewhere():
    values = np.linspace(0, 100, 5000)
    assert absurd(facts(values), "mr") is None
    values[0] = 1e7
    assert "damaged voxels" in absurd(facts(values), None)


def test_an_item_unlike_its_set_is_named():
    items = {f"{n}": facts(np.linspace(0, 100 + n, 100)) for n in range(8)}
    assert unlike_set(items) == {}
    items["odd"] = facts(np.linspace(0, 1.7e6, 100))
    assert list(unlike_set(items)) == ["odd"]
