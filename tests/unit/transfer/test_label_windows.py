"""Labels of windows: rows of their own, read inside their box, learnt where whole items tell nothing."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.data.box import parse_box
from ssl_platform.errors import DataError, LabelError
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer.label_windows import WindowedDomain, box_of, cells_of, item_of
from ssl_platform.types import Layout, Row

Write = Callable[..., Path]
ROW = Row("a", "a.npy", (24, 24, 40), (2.0, 2.0, 2.0), ("c0",), meta={"brightness": 1.0})


def boxed(text: str) -> Row:
    return ROW.replace(id=f"a[{text}]", meta={**ROW.meta, "label window": text, "label window of": "a"})


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Twelve items of which one half is bright and the other dark, either way round: wholes tell nothing."""
    rng, lines = np.random.default_rng(0), ["path,label,window,split"]
    folder = tmp_path / "halves"
    folder.mkdir()
    for i in range(12):
        levels = (1.0, -1.0) if i % 2 else (-1.0, 1.0)
        values = [level + rng.normal(size=(16, 16, 16)) for level in levels]
        np.save(folder / f"item{i}.npy", np.concatenate(values).astype(np.float32))
        part = "train" if i < 6 else "val" if i < 8 else "test"
        for k, box in enumerate(("0:16,0:16,0:16", "16:32,0:16,0:16")):
            lines.append(f'item{i}.npy,{"bright" if levels[k] > 0 else "dark"},"{box}",{part}')
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def test_windows_of_a_box_cover_it_and_lie_in_the_item() -> None:
    domain = WindowedDomain(ToyDomain(ToyDomain.Options()))
    size = (8, 8, 8)
    starts = {w.start for w in domain.cover(boxed("0:8,4:20,30:34"), size)}
    assert starts == {(0, 4, 28), (0, 12, 28)}  # along the last axis the box is smaller: read around its middle
    assert [w.start for w in domain.cover(boxed("0:8,4:20,38:40"), size, whole=False)] == [(0, 8, 32)]
    drawn = [domain.place(boxed("0:8,4:20,30:34"), size, u).start for u in np.random.default_rng(0).random((64, 5))]
    assert {s[0] for s in drawn} == {0} and {s[2] for s in drawn} == {28}
    assert {s[1] for s in drawn} == set(range(4, 13))
    assert [w.start for w in domain.cover(boxed("0:8,0:8,0:8"), (32, 8, 8))] == [(-8, 0, 0)]  # an item in the window
    assert len(domain.cover(ROW, size)) == 3 * 3 * 5  # rows of whole items are as ever
    assert item_of(boxed("0:8,0:8,0:8")) == ROW and item_of(ROW) is ROW and box_of(ROW) is None
    assert pickle.loads(pickle.dumps(domain)).cover(ROW, size) == domain.cover(ROW, size)


def test_cells_of_a_window() -> None:
    domain = ToyDomain(ToyDomain.Options())
    assert cells_of(domain, ROW, parse_box("0.5:8,4:20,30:40", "")) == ((0, 8), (4, 20), (30, 40))
    for text, why in (
        ("0:25,0:1,0:1", r"outside the item: cells 0 to 25 of 24 along D of its grid; correct the row"),
        ("24:26,0:1,0:1", "outside the item"),
        ("0:3,0:1", "has 2 axes and the item 3: give start:end along each"),
    ):
        with pytest.raises(DataError, match=why):
            cells_of(domain, ROW, parse_box(text, ""))


def test_seconds_along_a_time_axis_and_no_windows_of_points() -> None:
    class Timed(ToyDomain):
        layout = Layout("C F T", unit="s")

    class Points(ToyDomain):
        layout = Layout("N C")

    row = ROW.replace(shape=(64, 100), spacing=(1.0, 0.01))
    timed = Timed(Timed.Options())
    assert cells_of(timed, row, parse_box("0.25:0.5s", "")) == ((0, 64), (25, 50))
    with pytest.raises(DataError, match="give t0:t1 in seconds"):
        cells_of(timed, row, parse_box("0:1,0:1", ""))
    with pytest.raises(DataError, match="outside the item: cells 90 to 101 of 100 along T"):
        cells_of(timed, row, parse_box("0.9:1.01", ""))
    with pytest.raises(DataError, match="domain 'toy' takes no labels of windows"):
        cells_of(Points(Points.Options()), row, parse_box("0:1", ""))


def test_what_only_windows_tell_is_learnt(toy_encoder: Write, halves: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    found = api.probe(encoder=encoder, manifest=halves, run=tmp_path / "run", protocol="knn,linear")
    metrics = found["metrics"]
    assert metrics["linear/accuracy"]["value"] > 0.9 and metrics["linear/accuracy"]["ci_over"] == "groups"
    assert metrics["knn/accuracy"]["value"] > 0.9
    with (tmp_path / "run" / "predictions_linear.csv").open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert len(ids) == 8 and ids[0] == "item8.npy[0:16,0:16,0:16]"
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "4 test items" in stored["overlap"]  # of eight windows
    with (tmp_path / "run" / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["id"] == "item0.npy" and rows[0]["window"] == "0:16,0:16,0:16"
    again = {"labels.split": str(tmp_path / "run" / "splits.csv")}
    tuned = api.finetune(
        encoder=encoder,
        manifest=halves,
        run=tmp_path / "tuned",
        overrides={**again, "finetune.steps": 4, "finetune.batch_size": 6, "finetune.eval_every": 2},
    )
    assert tuned["metrics"]["finetune/accuracy"]["value"] > 0.9 and tuned["split_id"] == found["split_id"]
    with pytest.raises(
        LabelError, match=r"'item0.npy' has a label for its window 0:16,0:16,0:16, and here whole items"
    ):
        api.predict(model=tmp_path / "tuned", out=tmp_path / "predicted", manifest=halves)


def test_numbers_of_windows_in_a_comparison(toy_encoder: Write, halves: Path, tmp_path: Path) -> None:
    text = halves.read_text().replace(",bright,", ",1.25,").replace(",dark,", ",-1.25,")
    halves.write_text(text)
    words: dict[str, Any] = {
        "data.manifest": str(halves),
        "run": str(tmp_path / "run"),
        "task": "regression",
        "labels.fraction": 0.5,
    }
    found = api.compare(runs=[toy_encoder()], labels=halves, protocol="linear", overrides=words)
    values = {row["metric"]: row["value"]["value"] for row in found["rows"]}
    assert values["linear/r2"] > 0.5


def test_windows_outside_their_item_are_refused(toy_encoder: Write, halves: Path, tmp_path: Path) -> None:
    halves.write_text(halves.read_text().replace('"16:32,0:16,0:16",test', '"16:33,0:16,0:16",test'))
    with pytest.raises(LabelError) as error:
        api.probe(encoder=toy_encoder(), manifest=halves, run=tmp_path / "run")
    assert str(error.value) == (
        "'item8.npy', window 16:33,0:16,0:16: reaches outside the item: cells 16 to 33 of 32 along D of its grid; "
        "correct the row"
    )
    assert error.value.exit_code == 2 and not (tmp_path / "run").exists()
