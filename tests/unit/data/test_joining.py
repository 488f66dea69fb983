from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.labels import resolve
from ssl_platform.data.manifest import read_manifest
from ssl_platform.data.scan import Scan, scan
from ssl_platform.testing.toy_domain import ToyDomain


def volume(path: Path, shape: tuple[int, ...] = (4, 5, 6), value: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full(shape, value, np.float32))


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    for case in "ab":
        for channel in range(2):
            volume(tmp_path / "set" / "imagesTr" / f"{case}_000{channel}.npy", value=channel + ord(case))
    return tmp_path / "set"


def look(data: Path, tmp_path: Path, **settings: object) -> Scan:
    return scan([data], ToyDomain(), folder=tmp_path / "cache", max_bad_fraction=1.0, **settings)  # type: ignore[arg-type]


def test_numbered_files_become_one_row_a_case_and_that_is_said(cases: Path, tmp_path: Path) -> None:
    found = look(cases, tmp_path)
    assert found.catalog.column("id") == ["imagesTr/a.npy", "imagesTr/b.npy"]
    row = found.catalog.row(0)
    assert row.channels == ("0000", "0001") and row.path.endswith("a_0000.npy")
    assert row.parts == {f"channel:000{k}": str(cases / f"imagesTr/a_000{k}.npy") for k in range(2)}
    assert found.lines == [f"{cases}/imagesTr: files _0000, _0001 joined as channels 0000, 0001 of 2 items"]
    assert look(cases, tmp_path).catalog.table.equals(found.catalog.table), "a re-scan joins the same"


def test_a_case_with_a_damaged_channel_is_quarantined_and_the_others_stay_joined(cases: Path, tmp_path: Path) -> None:
    (cases / "imagesTr" / "a_0001.npy").write_bytes(b"")
    found = look(cases, tmp_path)
    assert found.catalog.column("id") == ["imagesTr/b.npy"]
    assert [item.reason for item in found.quarantined] == [
        "it is empty",
        f"the file of its channel 0001 cannot be used: {cases}/imagesTr/a_0001.npy",
    ]


def test_channels_of_unlike_shape_are_quarantined(cases: Path, tmp_path: Path) -> None:
    volume(cases / "imagesTr" / "a_0001.npy", (4, 5, 7))
    (bad,) = look(cases, tmp_path).quarantined
    assert bad.reason.startswith("channel 0001 has shape (4, 5, 7)")


def test_a_manifest_says_exactly_what_is_read(tmp_path: Path) -> None:
    for name in ("img/a.npy", "img/b_seg.npy", "img/b.npy", "img/other.npy", "img/m.npy"):
        volume(tmp_path / name)
    (tmp_path / "m.csv").write_text("path,mask\nimg/a.npy,img/m.npy\nimg/b.npy,\nimg/b_seg.npy,\nimg/gone.npy,\n")
    manifest = read_manifest(tmp_path / "m.csv", LabelsConfig())
    found = look(tmp_path / "m.csv", tmp_path, items=manifest.items, masks=manifest.masks)
    assert found.catalog.column("id") == ["img/a.npy", "img/b.npy", "img/b_seg.npy"]
    assert [(Path(item.path).name, item.reason) for item in found.quarantined] == [
        ("gone.npy", "there is no such file")
    ]
    facts = resolve(list(found.catalog.rows()), LabelsConfig(), manifest=manifest.claims)
    assert facts.mask == (str(tmp_path / "img/m.npy"), "", "")


def test_channels_of_a_manifest_are_one_item_with_an_absent_channel(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b2"):
        volume(tmp_path / f"{name}.npy", value=ord(name[0]) + int(name[1]))
    (tmp_path / "m.csv").write_text("path:T1,path:T2,id,label\na1.npy,a2.npy,case a,x\n,b2.npy,case b,y\n")
    manifest = read_manifest(tmp_path / "m.csv", LabelsConfig())
    found = look(tmp_path / "m.csv", tmp_path, items=manifest.items)
    rows = list(found.catalog.rows())
    assert [row.id for row in rows] == ["case a", "case b"] and rows[1].channels == ("T1", "T2")
    assert rows[1].parts == {"channel:T2": str(tmp_path / "b2.npy")}
    assert resolve(rows, LabelsConfig(), manifest=manifest.claims).label == ("x", "y")


def test_a_manifest_is_joined_anew_to_each_catalog(tmp_path: Path) -> None:
    for name in "abc":
        volume(tmp_path / f"{name}.npy", value=ord(name))
    (tmp_path / "m.csv").write_text("path,label\na.npy,x\nb.npy,y\nc.npy,x\n")
    manifest = read_manifest(tmp_path / "m.csv", LabelsConfig())
    rows = list(look(tmp_path / "m.csv", tmp_path, items=manifest.items).catalog.rows())
    assert resolve(rows, LabelsConfig(), manifest=manifest.claims).label == ("x", "y", "x")
    assert resolve(rows[1:], LabelsConfig(), manifest=manifest.claims).label == ("y", "x")
