from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ssl_platform.data.catalog import Catalog
from ssl_platform.errors import DataError
from ssl_platform.types import Row


def rows(n: int = 5, prefix: str = "/data") -> list[Row]:
    return [
        Row(
            id=f"f{i}.npy",
            path=f"{prefix}/f{i}.npy",
            shape=(4, 5, 6 + i),
            spacing=(1.0, 0.1 + 0.2, 2.0),
            channels=("a", "b") if i % 2 else ("a",),
            dtype="int16",
            bytes=10 * i,
            fingerprint=f"{i:032x}",
            group=None if i == 0 else f"g{i}",
            label=[None, 3, "3", 2.5, True][i % 5],
            meta={"modality": "ct", "time": 1.5 * i, "on": True, "none": None} if i else {},
            parts={"sar": f"/x{i}"} if i == 4 else {},
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("name", ["catalog.parquet", "catalog.arrow"])
def test_rows_come_back_exactly(tmp_path: Path, name: str) -> None:
    catalog = Catalog.open(Catalog.of(rows()).write(tmp_path / name))
    assert list(catalog.rows()) == rows()
    assert [catalog.row(i) for i in range(len(catalog))] == rows()
    assert [type(catalog.row(i).label) for i in range(1, 5)] == [int, str, float, bool]
    with pytest.raises(IndexError):
        catalog.row(5)


def test_extra_columns_survive(tmp_path: Path) -> None:
    catalog = Catalog.of(rows()).with_columns(split=["train"] * 4 + ["test"], group=["p"] * 5)
    back = Catalog.open(catalog.write(tmp_path / "c.parquet"))
    assert back.extra == ("split",)
    assert back.column("split")[-1] == "test" and back.row(0).group == "p"
    assert [r.id for r in back.select([4, 1]).rows()] == ["f4.npy", "f1.npy"]
    assert back.select([4]).column("split") == ["test"]
    with pytest.raises(DataError, match="no column 'fold'"):
        back.column("fold")


def test_id_depends_on_content_not_on_place_or_order() -> None:
    a = Catalog.of(rows())
    assert a.id == Catalog.of(rows(prefix="/elsewhere")).id == Catalog.of(rows()[::-1]).id
    assert a.id != Catalog.of(rows(4)).id
    assert a.id != Catalog.of([rows()[0].replace(fingerprint="other"), *rows()[1:]]).id


def test_buckets_part_by_channels_and_parts() -> None:
    catalog = Catalog.of(rows())
    assert [b.tolist() for b in catalog.buckets()] == [[0, 2], [1, 3], [4]]
    assert [b.tolist() for b in catalog.buckets(ragged=True)] == [[0, 1, 2, 3], [4]]
    assert catalog.channels == ("a", "b")


def test_pickles_as_a_path_where_it_has_one(tmp_path: Path) -> None:
    small = pickle.dumps(Catalog.open(Catalog.of(rows()).write(tmp_path / "c.arrow")))
    assert list(pickle.loads(small).rows()) == rows()
    assert len(small) < 500
    assert list(pickle.loads(pickle.dumps(Catalog.of(rows()))).rows()) == rows()


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Catalog.of(rows()).write(tmp_path / "c.parquet")
    before = path.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_batch", full)
    with pytest.raises(OSError, match="No space"):
        Catalog.of(rows(2)).write(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_is_no_catalog_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"no table")
    for name in ("c.parquet", "missing.parquet", "missing.arrow"):
        with pytest.raises(DataError, match="scan the data again"):
            Catalog.open(tmp_path / name)
    assert list(Catalog.of([]).rows()) == [] and Catalog.of([]).buckets() == []
