"""What a whole set decides: spacing, modality, padding."""

import numpy as np
import pytest

from ssl_platform_medical3d.items import fit, rows_of
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.readers import nifti
from ssl_platform_medical3d.settle import settle

AUTO = Medical3DOptions()
CT = np.random.default_rng(0).integers(-1000, 1200, (6, 6, 6)).astype(np.int16)


def rows(tmp_path, spacings, data=CT):
    found = []
    for number, spacing in enumerate(spacings):
        path = nifti.write(tmp_path / f"{number}.nii", data, np.diag([*spacing[::-1], 1.0]))
        found += [fit(row, AUTO) for row in rows_of(path, AUTO)]
    return found


def test_alike_spacing_is_left_alone(tmp_path):
    value, reason = settle(rows(tmp_path, [(2.0, 1.0, 1.0), (2.1, 1.02, 1.0), (1.95, 1.0, 1.0)]), AUTO)["spacing"]
    assert value == "native" and "none is resampled" in reason


def test_unlike_spacing_becomes_the_median(tmp_path):
    value, reason = settle(rows(tmp_path, [(5.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 0.5, 1.0)]), AUTO)["spacing"]
    assert value == [2.0, 1.0, 1.0] and "1-5" in reason
    assert Medical3DOptions(spacing=value).spacing == (2.0, 1.0, 1.0)


def test_what_is_given_is_not_settled(tmp_path):
    assert settle(rows(tmp_path, [(1, 1, 1)]), Medical3DOptions(spacing="native", modality="mr")) == {}


def test_values_that_reach_from_air_to_bone_are_ct(tmp_path):
    value, reason = settle(rows(tmp_path, [(1, 1, 1)] * 3), AUTO)["modality"]
    assert value == "ct" and "3 items" in reason


@pytest.mark.parametrize("low", [0, -90])
def test_other_values_are_not(tmp_path, low):
    data = np.random.default_rng(0).integers(low, 1200, (6, 6, 6)).astype(np.int16)
    assert "modality" not in settle(rows(tmp_path, [(1, 1, 1)], data), AUTO)


def test_a_mixed_set_gets_one_scale(tmp_path):
    first, second = rows(tmp_path, [(1, 1, 1)] * 2)
    mixed = [
        first.replace(meta={**first.meta, "modality": "ct"}),
        second.replace(meta={**second.meta, "modality": "mr"}),
    ]
    value, reason = settle(mixed, AUTO)["modality"]
    assert value == "intensity" and "1 ct, 1 mr" in reason
    assert "modality" not in settle([mixed[0], *[mixed[1]] * 9], AUTO)  # a stray, for the scan to set aside


def test_absent_channels_are_padded(tmp_path):
    row = rows(tmp_path, [(1, 1, 1)])[0].replace(channels=("T1", "T2"), parts={"channel:T1": "x"})
    assert settle([row], AUTO)["pad_channels"][0] is True
    full = row.replace(parts={"channel:T1": "x", "channel:T2": "y"})
    assert "pad_channels" not in settle([full], AUTO)
