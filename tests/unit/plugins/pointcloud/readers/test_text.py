"""Lines of text as toolkits write them."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.readers import header_of, read_cloud
from ssl_platform_pointcloud.readers.text import looks_like_points

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(30, 3)).round(4)
ROWS = "\n".join(" ".join(map(str, row)) for row in XYZ.tolist())
COLOURS = np.concatenate([XYZ, RNG.integers(0, 256, (30, 3))], axis=1)


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_forms_that_toolkits_write(tmp_path):
    comma = ROWS.replace(" ", ",")
    forms = {
        "plain.xyz": ROWS,
        "tabs.txt": ROWS.replace(" ", "\t"),
        "header.csv": "X,Y,Z\n" + comma,
        "marked.csv": "\ufeff" + comma,
        "semicolon.csv": "x;y;z\n" + ROWS.replace(" ", ";"),
        "windows.txt": ROWS.replace("\n", "\r\n"),
        "compare.asc": "//X Y Z\n" + ROWS,
        "comments.xyz": "# made by hand\n# on a Monday\n" + ROWS + "\n\n",
        "counted.pts": "30\n" + ROWS,
    }
    for name, text in forms.items():
        path = written(tmp_path / name, text)
        assert np.array_equal(read_cloud(path).xyz, XYZ), name
        assert header_of(path).points == 30 and looks_like_points(path)


def test_names_of_columns(tmp_path):
    path = written(tmp_path / "x.asc", "//X Y Z R G B Scalar_Intensity\n" + "1 2 3 4 5 6 7\n" * 3)
    assert header_of(path).fields == ("red", "green", "blue", "intensity")
    shuffled = written(tmp_path / "y.csv", "label,z,y,x\n5,3,2,1\n")
    cloud = read_cloud(shuffled)
    assert cloud.xyz.tolist() == [[1, 2, 3]] and cloud.fields["label"].tolist() == [5]
    plain = writers.write_text(tmp_path / "z.xyz", COLOURS, header=False)
    assert header_of(plain).fields == ("red", "green", "blue")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("1 2\n3 4\n", "need x, y and z"),
        ("1 2 3\n1 2\n", "not a table of numbers"),
        ("1 2 3\n4 5 abc\n", "not a table of numbers"),
        ("a,b,c\n1,2,3\n", "names no x, y and z"),
        ("x,y,z\n1,2,3,4\n", "names 3 columns, its lines have 4"),
    ],
)
def test_what_is_no_table_of_points_is_named(tmp_path, text, why):
    with pytest.raises(Unreadable, match=why):
        header_of(written(tmp_path / "x.csv", text))


def test_a_promise_of_more_points_is_truncation(tmp_path):
    with pytest.raises(Unreadable, match="truncated: 30 of 99 points"):
        header_of(written(tmp_path / "x.pts", "99\n" + ROWS))


def test_other_text_is_no_candidate(tmp_path):
    for text in (
        "These are my notes.\nTwo lines.",
        "path,label\na.ply,chair\n",
        "1 2\n3 4\n",
        "x,y,z,\nbad,worse,1\n",
        "",
    ):
        assert not looks_like_points(written(tmp_path / "x.txt", text))
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x00binary")
    assert not looks_like_points(tmp_path / "b.csv")
