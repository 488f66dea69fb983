import numpy as np

from ssl_platform_multispectral.domain import Multispectral

DOMAIN = Multispectral()


def test_true_colour_where_there_is_any():
    x = np.zeros((4, 8, 8), np.float32)
    x[2, :, :4] = 0.3  # red on the left
    x[0, :, 4:] = 0.3  # blue on the right
    picture = DOMAIN.render(x, ("S2-B02", "S2-B03", "S2-B04", "S2-B08"))
    assert picture.shape == (8, 8, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [255, 0, 0] and picture[0, 7].tolist() == [0, 0, 255]


def test_radar_shows_both_polarisations_and_others_the_first_band():
    x = np.random.default_rng(0).normal(-12, 3, (2, 8, 8)).astype(np.float32)
    assert DOMAIN.render(x, ("S1-VV", "S1-VH")).shape == (8, 8, 3)
    assert DOMAIN.render(x, ("S2-B08", "S2-B11")).shape == (8, 8)
    assert DOMAIN.render(np.full((1, 8, 8), np.nan), ("S2-B08",)).max() == 0
