import numpy as np
import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.labels import resolve
from ssl_platform.data.spatial import Blocks, block_groups, parse_blocks, places
from ssl_platform.data.splits import resolve as split
from ssl_platform.errors import ConfigError, DataError
from ssl_platform.types import Row


@pytest.mark.parametrize(
    ("text", "expected"),
    [("600m", Blocks(600, 0)), ("600m,gap=100m", Blocks(600, 100)), ("1.5km, gap=100m", Blocks(1500, 100))],
)
def test_blocks_are_metres_or_kilometres(text, expected):
    assert parse_blocks(text) == expected


@pytest.mark.parametrize("text", ["600", "600m,100m", "m", "600m,gap=", "600ft"])
def test_other_forms_are_an_error_with_the_form(text):
    with pytest.raises(ConfigError) as error:
        parse_blocks(text)
    assert str(error.value) == f"labels.blocks={text} is not of the form 600m,gap=100m (m or km)"


def grid(tmp_path, n=40, step=100.0, cells=5, spacing=10.0):
    rows = [
        Row(f"{x}_{y}", f"/d/{x}_{y}", (cells, cells), (spacing, spacing), meta={"x": x * step, "y": y * step})
        for x in range(n)
        for y in range(n)
    ]
    text = "id,label\n" + "".join(f"{row.id},{'ab'[(k // 3) % 2]}\n" for k, row in enumerate(rows))
    (tmp_path / "t.csv").write_text(text)
    return rows, resolve(rows, LabelsConfig(source=str(tmp_path / "t.csv")))


def test_blocks_stay_whole_and_parts_stay_apart(tmp_path):
    rows, facts = grid(tmp_path)
    splits = split(rows, facts, LabelsConfig(blocks="300m,gap=120m"))
    codes = splits.codes[0]
    place = np.array([[row.meta["x"], row.meta["y"]] for row in rows])
    blocks = {}
    for (x, y), code in zip((place // 300).astype(int).tolist(), codes.tolist(), strict=True):
        blocks.setdefault((x, y), set()).add(code)
    assert all(len(found - {0}) <= 1 for found in blocks.values())
    edge = 50.0  # an item's side: distance between boxes, not between centres
    for a, b in ((1, 2), (1, 3), (2, 3)):
        apart = np.abs(place[codes == a][:, None] - place[codes == b][None]) - edge
        assert np.hypot(*np.moveaxis(np.maximum(apart, 0), -1, 0)).min() >= 120
    assert (codes == 0).any() and all((codes == part).sum() > 50 for part in (1, 2, 3))
    assert splits.rule == "blocks" and splits.notes[0] == "groups: 196 blocks of 300 m"
    assert any(note.endswith("nearer than 120 m to another part left out") for note in splits.notes)


def test_overlapping_items_of_two_parts_are_left_out_without_a_gap_too(tmp_path):
    rows, facts = grid(tmp_path, cells=15)
    codes = split(rows, facts, LabelsConfig(blocks="300m")).codes[0]
    place = np.array([[row.meta["x"], row.meta["y"]] for row in rows])
    apart = np.abs(place[codes == 1][:, None] - place[codes == 3][None]).max(axis=-1)
    assert apart.min() >= 150


def test_one_place_at_several_dates_is_one_group():
    rows = [Row(f"{k}", f"/d/{k}", (1, 1), meta={"x": x, "y": 0.0}) for k, x in enumerate((10.0, 110.0, 250.0))]
    facts = resolve([row.replace(group=g) for row, g in zip(rows, "ppq", strict=True)], LabelsConfig())
    names, _ = block_groups(rows, facts, Blocks(100))
    assert names[0] == names[1] != names[2]


def test_degrees_become_metres_on_the_ground():
    rows = [Row(f"{k}", "/d", (1, 1), meta={"lon": lon, "lat": 60.0}) for k, lon in enumerate((0.0, 1.0))]
    centre, _ = places(rows, resolve(rows, LabelsConfig()))
    assert centre[1, 0] - centre[0, 0] == pytest.approx(111_195 / 2, rel=1e-3)


def test_items_without_a_place_are_named(tmp_path):
    rows = [Row(name, f"/d/{name}", (8,)) for name in "abcd"]
    (tmp_path / "t.csv").write_text("id,label\na,x\nb,y\nc,x\nd,y\n")
    facts = resolve(rows, LabelsConfig(source=str(tmp_path / "t.csv")))
    with pytest.raises(DataError) as error:
        split(rows, facts, LabelsConfig(blocks="300m"))
    assert str(error.value) == (
        "labels.blocks needs places, and 'a' has neither x, y nor lon, lat: add the columns or leave labels.blocks out"
    )
