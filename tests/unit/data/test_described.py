"""A run's `catalog.parquet` has a manifest's columns, and reads as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data import splits
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.described import described
from ssl_platform.data.labels import resolve
from ssl_platform.data.manifest import read_manifest
from ssl_platform.types import Row


def rows(folder: Path, *names: str) -> list[Row]:
    for name in names:
        (folder / name).touch()
    return [Row(name, str(folder / name), (8, 8), fingerprint=name, meta={"kv": 120}) for name in names]


def test_what_is_known_of_the_items_stands_beside_them(tmp_path: Path) -> None:
    text = "path,label,group,split,pair,time,age,meta\na,x,p,train,k,2024-05-01,40,q\nb,y,q,test,k,,41,\nc,,r,,,,,\n"
    (tmp_path / "t.csv").write_text(text)
    items = rows(tmp_path, "a", "b", "c")
    facts = resolve(items, LabelsConfig(source=str(tmp_path / "t.csv")))
    path = described(Catalog.of(items), facts).write(tmp_path / "catalog.parquet")
    back = Catalog.open(path)
    assert list(back.rows()) == items, "what a scan said is as it was"
    assert back.column("label") == ["x", "y", ""] and back.column("split") == ["train", "test", ""]
    assert back.column("pair") == ["k", "k", ""] and back.column("age") == ["40", "41", ""]
    assert "fold" not in back.extra and "mask" not in back.extra, "columns that hold nothing are left out"


def test_it_reads_as_a_manifest_with_the_same_labels_and_split(tmp_path: Path) -> None:
    items = rows(tmp_path, *(f"i{k:03d}" for k in range(120)))
    (tmp_path / "t.csv").write_text("path,label\n" + "".join(f"i{k:03d},{'ab'[k % 2]}\n" for k in range(120)))
    facts = resolve(items, LabelsConfig(source=str(tmp_path / "t.csv")))
    drawn = splits.resolve(items, facts, LabelsConfig())
    path = described(Catalog.of(items), facts, drawn.codes).write(tmp_path / "run" / "catalog.parquet")
    manifest = read_manifest(path, LabelsConfig())
    assert [item.path for item in manifest.items] == [row.path for row in items]
    again = resolve(items, LabelsConfig(), manifest=manifest.claims)
    assert again.label == facts.label and splits.resolve(items, again, LabelsConfig()).id == drawn.id


def test_windows_of_an_item_tell_what_they_have_in_common(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('path,label,site,window\na,x,n,"0:4,0:8"\na,y,n,"4:8,0:8"\nb,x,s,\n')
    items = rows(tmp_path, "a", "b")
    facts = resolve(items, LabelsConfig(source=str(tmp_path / "t.csv")))
    found = described(Catalog.of(items), facts, np.array([[1, 3, 1]]))
    assert found.column("label") == ["", "x"] and found.column("site") == ["n", "s"]
    assert found.column("split") == ["", "train"] and len(found) == 2
