"""Pictures: three planes in radiological convention."""

import numpy as np

from ssl_platform_medical3d.domain import Medical3D
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.render import SOFT_TISSUE, render, window_of


def test_sides_are_where_radiologists_expect_them():
    volume = np.zeros((1, 6, 8, 10), np.float32)
    volume[0, :, :, 7:] = 1.0  # the patient's right
    picture = render(volume, (0.0, 1.0))
    assert picture.dtype == np.uint8 and picture.shape == (8, 10 + 1 + 10 + 1 + 8)
    assert (picture[:8, :3] == 255).all() and (picture[:8, 3:10] == 0).all()
    front = np.zeros((1, 6, 8, 10), np.float32)
    front[0, :, 6:, :] = 1.0
    assert (render(front, (0.0, 1.0))[:2, :10] == 255).all()
    head = np.zeros((1, 6, 8, 10), np.float32)
    head[0, 5] = 1.0
    assert (render(head, (0.0, 1.0))[0, 11:21] == 255).all()


def test_values_that_are_not_finite_do_not_break_it():
    volume = np.random.default_rng(0).random((1, 4, 4, 4)).astype(np.float32)
    volume[0, 0, 0, 0] = np.nan
    assert render(volume, None).max() > 200
    assert render(np.full((1, 3, 3, 3), np.nan), None).shape == (3, 11)


def test_ct_is_shown_in_a_soft_tissue_window_unless_one_is_chosen():
    hounsfield = np.linspace(-1000, 1000, 8**3, dtype=np.float32).reshape(1, 8, 8, 8)
    assert window_of(hounsfield, ("ct",), None) == SOFT_TISSUE == (-160.0, 240.0)
    assert window_of(hounsfield, ("ct-1",), (-1350.0, 150.0)) == (-1350.0, 150.0)
    slices = np.full((1, 4, 4, 4), -100.0, np.float32)
    slices[..., 2:] = 100.0
    tissue = Medical3D().render(slices, ("ct",))[:, :4]  # the axial slice
    wide = Medical3D(Medical3DOptions(hu_window=(-1000.0, 999.0))).render(slices, ("ct",))[:, :4]
    assert int(np.ptp(tissue)) > 2 * int(np.ptp(wide))


def test_what_are_no_hounsfield_units_is_stretched():
    random = np.random.default_rng(0)
    assert window_of(random.random((1, 4, 4, 4)), ("mr",), None) is None
    assert window_of(random.normal(size=(1, 4, 4, 4)), ("ct",), None) is None, "normalised"
    assert window_of(np.full((1, 4, 4, 4), -900.0), ("ct",), None) is None, "nothing but lung"
    picture = Medical3D().render(random.normal(size=(1, 8, 8, 8)) / 100, ("ct",))
    assert int(picture.max()) - int(picture.min()) > 200
    assert Medical3D().render(np.full((1, 4, 4, 4), np.nan), ("ct",)).max() == 0
