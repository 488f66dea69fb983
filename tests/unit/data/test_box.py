import pytest

from ssl_platform.data.box import box_text, parse_box, parse_time
from ssl_platform.errors import DataError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:8,10:20,3:4", ((0, 8), (10, 20), (3, 4))),
        ("1.5:3", ((1.5, 3),)),
        ("1.5s:3s", ((1.5, 3),)),
        ("0:8, 1:2", ((0, 8), (1, 2))),
    ],
)
def test_a_window_is_voxels_along_each_axis_or_seconds(text, expected):
    assert parse_box(text, "t.csv line 2") == expected
    assert parse_box(box_text(expected), "again") == expected


@pytest.mark.parametrize("text", ["0-8", "a:b", "1:", "0:nan", "1:2,", "::"])
def test_an_unreadable_window_names_place_and_form(text):
    with pytest.raises(DataError) as error:
        parse_box(text, "t.csv line 2")
    assert str(error.value) == f"t.csv line 2: window {text!r} is not z0:z1,y0:y1,x0:x1 (voxels) or t0:t1 (seconds)"


@pytest.mark.parametrize("text", ["8:8", "9:8", "-1:8"])
def test_a_window_has_a_start_before_its_end(text):
    with pytest.raises(DataError, match=r"needs 0 <= start < end along each axis"):
        parse_box(text, "t.csv line 2")


def test_time_is_iso_8601_and_utc_without_a_zone():
    assert parse_time("1970-01-02", "x") == 86400
    assert parse_time("1970-01-01T01:00:00+01:00", "x") == 0
    assert parse_time("1970-01-01T00:00:10Z", "x") == 10
    with pytest.raises(DataError) as error:
        parse_time("02.01.1970", "t.csv line 4")
    assert str(error.value) == (
        "t.csv line 4: time '02.01.1970' is not ISO 8601, such as 2024-05-01 or 2024-05-01T10:30:00Z"
    )
