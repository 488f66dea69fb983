import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.sources import Source, claims_of_source, parse_source
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row


def rows(*ids, **fields):
    return [Row(id=name, path=f"/data/{name}", shape=(8, 8, 8), **fields) for name in ids]


def claims(text, items):
    return claims_of_source(parse_source(text), items, LabelsConfig())


def test_every_form_of_a_source_is_told_apart(tmp_path):
    for name in ("t.csv", "t.tsv", "t.parquet", "lulc.tif"):
        (tmp_path / name).write_text("x")
    (tmp_path / "labelsTr").mkdir()
    for name in ("t.csv", "t.tsv", "t.parquet"):
        assert parse_source(str(tmp_path / name)) == Source("table", str(tmp_path / name))
    assert parse_source(str(tmp_path / "labelsTr")).kind == "masks"
    assert parse_source(str(tmp_path / "lulc.tif")).kind == "raster"
    assert parse_source("folders") == Source("folders")
    assert parse_source("name:(?P<label>.)_") == Source("name", "(?P<label>.)_")
    assert parse_source("field:classification") == Source("field", "classification")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "folder",
            "--labels folder: no such file or folder (did you mean 'folders'?); SOURCE is a table, a folder of masks,",
        ),
        ("name:", "--labels name: lacks what follows the colon: name:REGEX or field:NAME"),
        ("name:(", "--labels name:REGEX: '(' is not a regular expression (missing ), unterminated subpattern"),
        ("name:abc", "--labels name:REGEX: 'abc' needs a named group, such as (?P<label>..)"),
        (
            "name:(?P<lable>.)",
            "--labels name:REGEX: unknown group (?P<lable>..) (did you mean 'label'?): "
            "the named groups are label, group, split, fold",
        ),
    ],
)
def test_a_source_that_is_none_is_one_line(text, message):
    with pytest.raises(LabelError) as error:
        parse_source(text)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_misspelt_file_is_found_beside_it(tmp_path):
    (tmp_path / "labels.csv").write_text("x")
    with pytest.raises(LabelError, match=r"lables.csv: no such file or folder \(did you mean 'labels.csv'\?\)"):
        parse_source(str(tmp_path / "lables.csv"))


def test_a_spreadsheet_is_refused(tmp_path):
    with pytest.raises(DataError, match="is a spreadsheet: save as CSV"):
        parse_source(str(tmp_path / "labels.xlsx"))


def test_folders_make_the_parent_folder_the_class():
    found = claims("folders", rows("set/cats/a.png", "set/dogs/b.png"))
    assert found.labels == {"label": ["cats", "dogs"]} and found.row.tolist() == [0, 1]


def test_a_regular_expression_over_names_gives_label_group_split_and_fold():
    pattern = r"name:(?P<label>\d)_(?P<group>[a-z]+)_(?P<fold>\d+)"
    found = claims(pattern, rows("x/7_theo_0.wav", "x/3_nicolas_1.wav"))
    assert found.labels == {"label": ["7", "3"]}
    assert found.columns == {"group": ["theo", "nicolas"], "fold": ["0", "1"]}


def test_a_regular_expression_may_speak_of_the_folders():
    found = claims("name:^(?P<split>train|test)/", rows("train/a.png", "test/b.png"))
    assert found.columns == {"split": ["train", "test"]}


def test_items_whose_name_does_not_fit_are_unlabelled_and_one_is_named():
    found = claims(r"name:(?P<label>\d)_", rows("7_a.wav", "noise.wav"))
    assert found.labels == {"label": ["7", ""]}
    assert found.notes == [r"labels: name:(?P<label>\d)_ fits 1 of 2 items, not 'noise.wav'"]


def test_an_expression_that_fits_nothing_gives_an_example():
    with pytest.raises(LabelError) as error:
        claims(r"name:(?P<label>\d)_", rows("noise.wav"))
    assert str(error.value) == r"--labels name:(?P<label>\d)_ fits no item: 'noise.wav' is the first"


def test_a_field_stored_in_the_file_is_the_label():
    items = [row.replace(meta={"site": site}) for row, site in zip(rows("a", "b"), ("north", None), strict=True)]
    assert claims("field:site", items).labels == {"label": ["north", ""]}
    stored = [row.replace(label=value) for row, value in zip(rows("a", "b"), (True, 3), strict=True)]
    assert claims("field:label", stored).labels == {"label": ["1", "3"]}


def test_a_dense_field_is_a_mask():
    items = rows("a.las", parts={"classification": "/data/a.las"})
    assert claims("field:classification", items).columns == {"mask": ["/data/a.las"]}


def test_an_unknown_field_lists_what_is_stored():
    with pytest.raises(LabelError) as error:
        claims("field:sit", rows("a", meta={"site": "north", "kv": 120}))
    assert str(error.value) == "--labels field:sit: no item stores it (did you mean 'site'?); stored are: kv, site"


def test_one_raster_is_joined_by_coordinates(tmp_path):
    path = tmp_path / "lulc.tif"
    path.write_text("x")
    found = claims(str(path), rows("a.tif", "b.tif"))
    assert found.columns == {"mask": [str(path)] * 2}
    assert found.notes == [f"labels: raster {path}, joined to 2 items by coordinates, not by name"]
