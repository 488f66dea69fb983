from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ssl_platform.report.pictures import data_uri, png, thumbnail

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def decoded(file: bytes) -> tuple[str, np.ndarray]:
    image = Image.open(io.BytesIO(file))
    image.load()
    return image.mode, np.asarray(image)


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (17, 23)])
def test_another_decoder_reads_the_same_pixels(samples: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(samples)
    for picture in (
        rng.integers(0, 256, (*size, samples), dtype=np.uint8),
        (np.indices(size).sum(0)[..., None] * 9 + np.arange(samples)).astype(np.uint8),  # smooth: every filter is used
    ):
        mode, found = decoded(png(picture))
        assert mode == MODES[samples]
        assert np.array_equal(found.reshape(picture.shape), picture)


def test_a_grey_picture_may_come_without_samples() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(decoded(png(picture))[1], picture)


def test_smooth_pictures_become_smaller_than_their_pixels() -> None:
    picture = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)
    assert len(png(picture)) < picture.size / 20


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((2, 2, 5), np.uint8), np.zeros((0, 2), np.uint8)])
def test_what_is_no_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        png(bad)


def test_a_data_uri_holds_the_file() -> None:
    picture = np.full((2, 3), 7, np.uint8)
    kind, _, content = data_uri(picture).partition(",")
    assert kind == "data:image/png;base64" and base64.b64decode(content) == png(picture)


def test_a_thumbnail_keeps_shape_and_mean() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (120, 60, 3), dtype=np.uint8)
    small = thumbnail(picture, 40)
    assert small.shape == (40, 20, 3) and small.dtype == np.uint8
    assert np.abs(small.mean((0, 1)) - picture.mean((0, 1))).max() < 1
    assert thumbnail(picture, 120) is picture


def test_a_thumbnail_averages_whole_blocks() -> None:
    picture = np.kron(np.array([[0, 200], [100, 40]], np.uint8), np.ones((3, 3), np.uint8))
    assert np.array_equal(thumbnail(picture, 2), [[0, 200], [100, 40]])


def test_a_thin_picture_keeps_a_row() -> None:
    assert thumbnail(np.zeros((1, 100), np.uint8), 10).shape == (1, 10)
