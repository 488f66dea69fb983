from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.quarantine import Quarantined, check_fraction
from ssl_platform.data.scan import Scan, scan
from ssl_platform.errors import Aside, DataError, Unreadable
from ssl_platform.testing.toy_domain import ToyDomain, ToyImages
from ssl_platform.types import Row


def volume(path: Path, shape: tuple[int, ...] = (4, 5, 6), value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full(shape, value, np.float32))
    return path


class Counting(ToyDomain):
    """Remembers what it was asked to read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def scan(self, path: Path) -> Iterable[Row]:
        self.asked.append(path.name)
        return super().scan(path)


def look(data: list[Path | str], cache: Path, **settings: object) -> Scan:
    domain = settings.pop("domain", None) or ToyDomain()
    return scan(data, domain, folder=cache, **{"max_bad_fraction": 1.0, **settings})  # type: ignore[arg-type]


def test_ids_are_paths_below_the_root_and_rows_are_in_order(tmp_path: Path) -> None:
    for name in ("b/2.npy", "a.npy", "b/1.npy"):
        volume(tmp_path / "set" / name)
    found = look([tmp_path / "set"], tmp_path / "cache").catalog
    assert found.column("id") == ["a.npy", "b/1.npy", "b/2.npy"]
    assert found.row(1).path == str(tmp_path / "set/b/1.npy") and found.row(1).bytes > 0
    assert set(found.column("source")) == {str(tmp_path / "set")}


def test_files_folders_and_globs_are_each_taken_once(tmp_path: Path) -> None:
    for name in ("s/a.npy", "s/deep/b.npy", "s/deep/c.npy"):
        volume(tmp_path / name)
    (tmp_path / "s/deep/notes.txt").write_text("no")
    found = look([tmp_path / "s/a.npy", f"{tmp_path}/s/**/*", tmp_path / "s/deep"], tmp_path / "cache").catalog
    assert sorted(found.column("id")) == ["a.npy", "deep/b.npy", "deep/c.npy"]


def test_ids_stay_unique_over_several_roots(tmp_path: Path) -> None:
    roots = [tmp_path / "x/site", tmp_path / "y/site", tmp_path / "other"]
    for root in roots:
        volume(root / "a.npy")
    ids = look([*roots], tmp_path / "cache").catalog.column("id")
    assert ids[0] == "a.npy" and len(set(ids)) == 3


def test_several_items_of_one_file_are_told_apart(tmp_path: Path) -> None:
    class Pairs(ToyDomain):
        def scan(self, path: Path) -> Iterable[Row]:
            for row in super().scan(path):
                yield row.replace(id="first")
                yield row.replace(id="second")

    volume(tmp_path / "s/a.npy")
    found = look([tmp_path / "s"], tmp_path / "cache", domain=Pairs()).catalog
    assert found.column("id") == ["a.npy#first", "a.npy#second"]
    assert len(set(found.column("fingerprint"))) == 2, "parts of one file are not copies of each other"


def test_identical_content_has_one_fingerprint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        volume(tmp_path / f"s/{name}.npy")
    volume(tmp_path / "s/c.npy", value=2.0)
    a, b, c = look([tmp_path / "s"], tmp_path / "cache").catalog.column("fingerprint")
    assert a == b != c and len(a) == 32


def test_bad_files_are_listed_with_their_reason(tmp_path: Path) -> None:
    volume(tmp_path / "s/good.npy")
    (tmp_path / "s/empty.npy").touch()
    (tmp_path / "s/text.npy").write_text("hello")
    found = look([tmp_path / "s"], tmp_path / "cache", quarantine=tmp_path / "run/quarantine.csv")
    assert found.catalog.column("id") == ["good.npy"]
    with (tmp_path / "run/quarantine.csv").open() as stream:
        listed = {Path(r["path"]).name: r["reason"] for r in csv.DictReader(stream)}
    assert listed["empty.npy"] == "it is empty" and "no .npy file" in listed["text.npy"]


def test_too_many_bad_files_stop_and_say_where_they_are_listed(tmp_path: Path) -> None:
    for i in range(18):
        volume(tmp_path / f"s/{i}.npy")
    (tmp_path / "s/bad.npy").write_text("x")
    look([tmp_path / "s"], tmp_path / "cache", max_bad_fraction=0.06)
    (tmp_path / "s/bad2.npy").write_text("x")
    with pytest.raises(DataError, match=r"2 of 20 items.*data\.max_bad_fraction=0\.06.*bad.*quarantine\.csv"):
        look([tmp_path / "s"], tmp_path / "cache", max_bad_fraction=0.06, quarantine=tmp_path / "quarantine.csv")
    assert (tmp_path / "quarantine.csv").exists()


@pytest.mark.parametrize(
    ("bad", "total", "stops"),
    [(1, 3, False), (1, 2, True), (3, 8, False), (4, 9, True), (4, 100, False), (6, 100, True)],
)
def test_a_few_bad_files_of_a_small_set_stop_nothing(bad: int, total: int, stops: bool) -> None:
    listed = [Quarantined(f"{i}.npy", "it is empty") for i in range(bad)]
    if stops:
        with pytest.raises(DataError, match=f"{bad} of {total} items are unreadable, more than"):
            check_fraction(listed, total - bad, "auto")
    else:
        check_fraction(listed, total - bad, "auto")
    with pytest.raises(DataError, match=r"more than data\.max_bad_fraction=0 allows"):
        check_fraction(listed, total - bad, 0.0)


def test_nothing_there_says_what_is_read_and_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no file; toy reads \.npy"):
        look([tmp_path / "empty"], tmp_path / "cache")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"such as notes\.txt; toy reads \.npy"):
        look([tmp_path / "wrong"], tmp_path / "cache")
    with pytest.raises(DataError, match=r"does not exist \(did you mean 'wrong'"):
        look([tmp_path / "wrnog"], tmp_path / "cache")
    with pytest.raises(DataError, match="matches no file"):
        look([f"{tmp_path}/wrong/*.npy"], tmp_path / "cache")
    with pytest.raises(DataError, match="only local files"):
        look(["s3://bucket/x"], tmp_path / "cache")


def test_masks_beside_images_are_set_aside(tmp_path: Path) -> None:
    for name in ("images/a.npy", "labels/a.npy"):
        volume(tmp_path / "s" / name)
    found = look([tmp_path / "s"], tmp_path / "cache")
    assert found.catalog.column("id") == ["images/a.npy"] and list(found.masks) == [str(tmp_path / "s/labels/a.npy")]
    assert len(look([tmp_path / "s"], tmp_path / "cache", include="labels/*").catalog) == 2


def test_a_file_the_domain_says_is_no_item_is_set_aside(tmp_path: Path) -> None:
    class Maps(ToyDomain):
        def scan(self, path: Path) -> Iterable[Row]:
            yield from super().scan(path)
            if path.name == "map.npy":
                raise Aside("that look like maps")

    for name in ("a.npy", "b.npy", "map.npy"):
        volume(tmp_path / "set" / name)
    for _ in range(2):  # what is set aside once is set aside again
        found = look([tmp_path / "set"], tmp_path / "cache", domain=Maps())
        assert found.masks == {str(tmp_path / "set/map.npy"): "that look like maps"}
        assert found.catalog.column("id") == ["a.npy", "b.npy"] and not found.quarantined
    shown = look([tmp_path / "set"], tmp_path / "cache", domain=Maps(), include="map.*")
    assert not shown.masks and len(shown.catalog) == 3


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    for i in range(6):
        volume(tmp_path / f"s/{i}.npy", value=i)
    first = look([tmp_path / "s"], tmp_path / "cache")
    assert (first.read, first.reused) == (6, 0)
    volume(tmp_path / "s/3.npy", shape=(7, 7, 7))
    (tmp_path / "s/1.npy").unlink()
    volume(tmp_path / "s/2b.npy")
    os.utime(tmp_path / "s/5.npy", ns=(1, 1))
    domain = Counting()
    # the kind of domain is part of what a catalog is kept under
    Counting.__qualname__, Counting.__module__ = ToyDomain.__qualname__, ToyDomain.__module__
    second = look([tmp_path / "s"], tmp_path / "cache", domain=domain)
    assert sorted(domain.asked) == ["2b.npy", "3.npy", "5.npy"]
    assert (second.read, second.reused) == (3, 3)
    assert second.catalog.column("id") == ["0.npy", "2.npy", "2b.npy", "3.npy", "4.npy", "5.npy"]
    assert second.catalog.row(3).shape == (7, 7, 7)
    fresh = look([tmp_path / "s"], tmp_path / "other")
    assert list(fresh.catalog.rows()) == list(second.catalog.rows())


def test_a_damaged_kept_catalog_is_only_a_slow_scan(tmp_path: Path) -> None:
    volume(tmp_path / "s/a.npy")
    look([tmp_path / "s"], tmp_path / "cache")
    for kept in (tmp_path / "cache/catalogs").iterdir():
        kept.write_bytes(b"damaged")
    assert look([tmp_path / "s"], tmp_path / "cache").read == 1


def test_a_domain_that_fails_after_some_rows_keeps_them(tmp_path: Path) -> None:
    class Half(ToyDomain):
        def scan(self, path: Path) -> Iterable[Row]:
            yield from super().scan(path)
            raise Unreadable("series 2 has a missing slice")

    volume(tmp_path / "s/a.npy")
    for _ in range(2):
        found = look([tmp_path / "s"], tmp_path / "cache", domain=Half())
        assert found.catalog.column("id") == ["a.npy"] and found.read == 1
        assert [q.reason for q in found.quarantined] == ["series 2 has a missing slice"]


def test_files_unlike_their_set_are_named(tmp_path: Path) -> None:
    for i in range(8):
        volume(tmp_path / f"s/{i}.npy")
    volume(tmp_path / "s/pic.npy", shape=(5, 6))
    volume(tmp_path / "s/rgb.npy", shape=(3, 4, 5, 6))
    found = look([tmp_path / "s"], tmp_path / "cache")
    reasons = {Path(q.path).name: q.reason for q in found.quarantined}
    assert len(found.catalog) == 8
    assert (
        "2 axes, not 3" in reasons["pic.npy"] and "3 channels (c0, c1, c2) where 8 items have 1" in reasons["rgb.npy"]
    )


def test_a_second_kind_of_item_or_a_layout_that_pads_keeps_them(tmp_path: Path) -> None:
    for i in range(5):
        volume(tmp_path / f"s/{i}.npy")
    for i in range(2):
        volume(tmp_path / f"s/two{i}.npy", shape=(2, 4, 5, 6))
    found = look([tmp_path / "s"], tmp_path / "cache")
    assert not found.quarantined and [len(b) for b in found.catalog.buckets()] == [5, 2]
    for i in range(9):
        volume(tmp_path / f"r/{i}.npy", shape=(4, 5))
    volume(tmp_path / "r/multi.npy", shape=(7, 4, 5))
    assert not look([tmp_path / "r"], tmp_path / "cache", domain=ToyImages()).quarantined


def test_a_table_among_the_data_is_data(tmp_path: Path) -> None:
    class Signals(ToyDomain):
        suffixes = (".csv",)

        def scan(self, path: Path) -> Iterable[Row]:
            yield Row(path.name, str(path), (4, 5, 6), channels=("c0",))

    for name in ("a.csv", "labels.csv"):
        (tmp_path / name).write_text("path,label\na.csv,x\n")
    found = look([tmp_path / "a.csv", tmp_path / "labels.csv"], tmp_path / "cache", domain=Signals())
    assert found.catalog.column("id") == ["a.csv", "labels.csv"], "signals are tables too: only --labels reads facts"
    with pytest.raises(DataError, match=r"1 of 1 items.*a\.csv.*no \.npy file"):
        look([tmp_path / "a.csv"], tmp_path / "cache", max_bad_fraction=0.5)


def test_progress_counts_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_platform.data.scan._GROUP", 3)
    for i in range(7):
        volume(tmp_path / f"s/{i}.npy")
    seen: list[tuple[int, int]] = []
    found = look([tmp_path / "s"], tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)] and found.catalog.column("id") == [f"{i}.npy" for i in range(7)]
