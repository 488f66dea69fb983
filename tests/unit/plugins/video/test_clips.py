"""Where related clips and the views of a test lie."""

import numpy as np
import pytest

from ssl_platform.data.window import grid_windows
from ssl_platform.plan import Reads
from ssl_platform.types import Row, Window
from ssl_platform_video.clips import at_other_speeds, at_other_times, multi_clip_windows, sped_up
from ssl_platform_video.domain import Video
from ssl_platform_video.header import Header
from ssl_platform_video.options import VideoOptions

HEADER = Header(0, 1, 0.0, 12.5, 375, 30.0, False, 64, 96)
ROW = Row("x", "/x", (100, 64, 96), (0.125, 1.0, 1.0), meta=HEADER.as_meta())
RNG = np.random.default_rng(0)


def draw(count):
    return RNG.random((count, 5))


def test_windows_of_labels_are_seconds_of_the_whole_picture():
    assert Video(VideoOptions()).label_box(ROW, ((1.5, 12.5),)) == ((12, 100), (0, 64), (0, 96))


@pytest.mark.parametrize(("gap", "least"), [(None, 16), (1.0, 8), (5.0, 40)])
def test_other_times_keep_their_distance(gap, least):
    starts = []
    for _ in range(200):
        first = Video().place(ROW, (16, 64, 64), RNG.random(5))
        (row, a), (_, b), (_, c) = at_other_times(ROW, first, Reads(3, "time", gap), draw(3))
        assert row is ROW and a == first and b.start[1:] == c.start[1:] == a.start[1:]
        for other in (b, c):
            assert abs(other.start[0] - a.start[0]) >= least and 0 <= other.start[0] <= 84
        starts.append(b.start[0])
    assert min(starts) < 5 and max(starts) > 79


def test_a_video_too_short_for_the_gap_gives_its_furthest_moment():
    first = Window((60, 0, 0), (16, 64, 64))
    (_, (_, other)) = at_other_times(ROW, first, Reads(2, "time", 100.0), draw(2))
    assert other.start[0] == 0


def test_other_speeds_are_centred_on_the_same_moment():
    first = Window((40, 0, 10), (16, 64, 64))
    seen = set()
    for _ in range(50):
        (same, a), (row, b) = at_other_speeds(ROW, first, (2.0, 4.0), Reads(2, "speed"), draw(2))
        speed = row.spacing[0] / ROW.spacing[0]
        seen.add(speed)
        assert same is ROW and a == first and row.shape[0] == 100 / speed
        middle = (b.start[0] + 8) * row.spacing[0]
        assert abs(middle - 48 * 0.125) <= row.spacing[0] or b.start[0] in (0, row.shape[0] - 16)
    assert seen == {2.0, 4.0}


def test_the_domain_offers_them():
    assert [w.start[0] for _, w in Video().related(ROW, Reads(1, "time"), (16, 64, 64), draw(1))]
    for relation in ("time", "speed", "overlap", "same"):
        assert len(Video().related(ROW, Reads(2, relation), (16, 64, 64), draw(2))) == 2
    assert sped_up(ROW, 1000.0).shape[0] == 1


def test_test_views_stand_for_a_video_where_they_are_asked_for():
    size = (16, 64, 64)
    assert Video(VideoOptions(test_views=(5, 3))).cover(ROW, size) == multi_clip_windows(ROW, size)
    assert len(Video(VideoOptions(test_views=(5, 3))).cover(ROW, size, whole=False)) == 1
    assert Video(VideoOptions()).cover(ROW, size) == grid_windows(ROW, size)
    with pytest.raises(ValueError, match="test_views"):
        VideoOptions(test_views=(0, 3))


def test_five_clips_times_three_crops_cover_the_video():
    views = multi_clip_windows(ROW, (16, 64, 64))
    assert len(views) == 15 and len(set(views)) == 15
    assert sorted({w.start[0] for w in views}) == [0, 21, 42, 63, 84]
    assert sorted({w.start[2] for w in views}) == [0, 16, 32] and {w.start[1] for w in views} == {0}
    tall = ROW.replace(shape=(100, 96, 64))
    assert sorted({w.start[1] for w in multi_clip_windows(tall, (16, 64, 64))}) == [0, 16, 32]
    assert len(multi_clip_windows(ROW.replace(shape=(8, 64, 64)), (16, 64, 64))) == 1
    assert multi_clip_windows(ROW, (16, 64, 64), clips=1, crops=1)[0].start == (42, 0, 16)
