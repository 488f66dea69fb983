"""Masks and points of frames, in the grid of their video."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_platform.errors import Misfit, Unreadable
from ssl_platform_video.annotations import Points, Source, body_sizes, frame_numbers, read_mask, read_points
from ssl_platform_video.items import fit, row_of
from ssl_platform_video.mask_pictures import read_masks, write_archive
from ssl_platform_video.options import VideoOptions


def pictures(folder: Path, values: np.ndarray) -> Path:
    folder.mkdir()
    for number, frame in enumerate(values):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return folder


@pytest.fixture
def row(tmp_path):
    """Eight frames of 40 x 60 pixels at 4 a second, read at 2 a second with a short side of 20."""
    frames = pictures(tmp_path / "frames", np.zeros((8, 40, 60, 3), np.uint8))
    options = VideoOptions(fps=2, short_side=20, frame_rate=4)
    return fit(row_of(frames, options), options)


def test_a_cell_has_the_mask_of_the_frame_it_shows(row, tmp_path):
    masks = np.arange(8, dtype=np.uint8)[:, None, None].repeat(40, 1).repeat(60, 2)
    masks[:, 20:, 30:] += 100
    found = read_mask(row, pictures(tmp_path / "masks", masks))
    assert frame_numbers(row).tolist() == [1, 3, 5, 7] and found.shape == row.shape == (4, 20, 30)
    assert found[:, 0, 0].tolist() == [1, 3, 5, 7] and (found[:, 10:, 15:] == found[:, :1, :1] + 100).all()


def test_masks_of_another_video_are_refused(row, tmp_path):
    short = pictures(tmp_path / "short", np.zeros((7, 40, 60), np.uint8))
    with pytest.raises(Misfit, match="7 numbered masks, and the video has 8 frames"):
        read_mask(row, short)
    small = pictures(tmp_path / "small", np.ones((8, 20, 30), np.uint8))
    with pytest.raises(Misfit, match="30x20 pixels and its frame 60x40"):
        read_mask(row, small)
    assert (read_mask(row, small, resample=True) == 1).all()
    with pytest.raises(Unreadable, match="a RGB picture: masks have one number a pixel"):
        read_masks(Path(row.path), (20, 30))
    with pytest.raises(Unreadable, match="no numbered masks"):
        read_masks(tmp_path, (20, 30))
    with pytest.raises(Misfit, match="uneven times"):
        frame_numbers(row.replace(meta={**row.meta, "variable": True}))
    (tmp_path / "masks.txt").touch()
    with pytest.raises(Unreadable, match="no folder of mask pictures"):
        read_mask(row, tmp_path / "masks.txt")


def test_points_count_frames_from_0_and_pixels_of_the_video(row, tmp_path):
    table = tmp_path / "points.csv"
    table.write_text("frame,point,x,y,visible\n1,hand,30,10,1\n3,hand,45,20,0\n3,foot,59.9,39.9,1\n5,foot,-3,5,1\n")
    points = read_points(row, table)
    assert points.names == ("hand", "foot")
    assert points.visible.tolist() == [[True, False], [False, True], [False, False], [False, False]]
    np.testing.assert_allclose(points.places[:2, 0], [(0.25, 0.5), (0.5, 0.75)])
    found = read_mask(row, table)
    assert np.argwhere(found).tolist() == [[0, 5, 15], [1, 19, 29]] and found[1, 19, 29] == 2
    assert body_sizes(points, row.shape[1:]).tolist() == [0, 0, 0, 0]
    both = Points(("a", "b"), np.array([[(0.0, 0.0), (0.5, 0.25)]]), np.ones((1, 2), bool))
    assert body_sizes(both, (100, 400)) == pytest.approx([60.0])


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("frame,point,x\n0,a,1\n", Unreadable, "no column 'y'"),
        ("frame,point,x,y\n8,a,1,1\n", Misfit, "points.csv line 2: frame 8 of a video of 8 frames, counted from 0"),
        ("frame,point,x,y\n0,a,left,1\n", Unreadable, "points.csv line 2: x is 'left', not a number"),
    ],
)
def test_a_wrong_table_of_points_is_refused(row, tmp_path, text, error, words):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(error, match=words):
        read_points(row, tmp_path / "points.csv")


def test_packed_masks_are_read_as_from_their_folder(row, tmp_path):
    masks = np.random.default_rng(0).integers(0, 3, (8, 40, 60), dtype=np.uint8)
    folder = pictures(tmp_path / "masks", masks)
    archive = write_archive(folder, tmp_path / "masks.zip")
    assert np.array_equal(read_mask(row, archive), read_mask(row, folder))
    assert write_archive(folder, tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(Unreadable, match=r"the masks packed as masks\.zip are damaged"):
        read_mask(row, archive)


def test_a_copy_has_the_labels_of_what_it_was_made_from(row, tmp_path):
    """Its own frames are smaller, and may come at another rate."""
    copy = row.replace(meta={**row.meta, "copy": "short side 16", "height": 16, "width": 24, "fps": 4.1, "frames": 9})
    folder = pictures(tmp_path / "masks", np.arange(8, dtype=np.uint8)[:, None, None].repeat(40, 1).repeat(60, 2))
    with pytest.raises(Misfit, match="does not say what it was made from: prepare the videos again"):
        read_mask(copy, folder)
    told = copy.replace(meta={**copy.meta, **Source.of(row).as_meta()})
    assert np.array_equal(read_mask(told, folder), read_mask(row, folder))
    assert Source.of(told) == Source.of(row) == Source(8, 4.0, False, (40, 60))
