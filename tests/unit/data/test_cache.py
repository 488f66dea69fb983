from __future__ import annotations

import os
import pickle
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.blocks import BlockArray
from ssl_platform.data.cache import Cache, default_folder
from ssl_platform.data.entry import open_entry, write_entry
from ssl_platform.data.prepared import Prepared, settle
from ssl_platform.data.upkeep import list_items, prune, verify
from ssl_platform.data.window import read_window
from ssl_platform.errors import CacheError, Unreadable
from ssl_platform.testing.toy_domain import ToyDomain, ToyOptions
from ssl_platform.types import Row, Window


def item(folder: Path, name: str = "a", shape: tuple[int, ...] = (9, 10, 11), dtype: type = np.int16) -> Row:
    data = np.random.default_rng(len(name)).integers(-1000, 1000, shape).astype(dtype)
    np.save(folder / f"{name}.npy", data)
    (row,) = ToyDomain().scan(folder / f"{name}.npy")
    return row.replace(fingerprint=f"{name:>032}")


def counting(cache: Cache, **options: float) -> tuple[ToyDomain, list[str]]:
    domain, made = ToyDomain(ToyOptions(**options)), []
    prepare = domain.prepare

    def counted(row: Row) -> Prepared:
        made.append(row.id)
        return prepare(row)

    domain.prepare = counted  # type: ignore[method-assign]
    domain.cache = cache
    return domain, made


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float32])
def test_an_item_comes_back_exactly(tmp_path: Path, dtype: type) -> None:
    row = item(tmp_path, dtype=dtype)
    domain, _ = counting(Cache(tmp_path / "cache"))
    found = domain.cache.open(row, domain)
    expected = np.load(row.path)
    assert isinstance(found.data, BlockArray) and found.data.dtype == dtype
    assert np.array_equal(np.asarray(found.data)[0], expected)
    assert found.spacing == (2.0, 2.0, 2.0) and found.channels == ("c0",) and found.valid is None
    assert np.array_equal(found.geometry["origin"], np.zeros(3)) and found.geometry["origin"].dtype == np.float64
    assert found.foreground is not None and found.foreground.dtype == np.int32
    assert (expected[tuple(found.foreground.T)] > expected.astype(float).mean()).all()
    assert found.facts["max"] == expected.max() and found.facts["valid"] == 1.0


def test_large_items_in_blocks_read_the_same_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_platform.data.blocks.SMALL_BYTES", 100)
    row = item(tmp_path, shape=(2, 70, 40, 33))
    domain, _ = counting(Cache(tmp_path / "cache"))
    found, whole = domain.cache.open(row, domain), np.load(row.path)
    assert isinstance(found.data, BlockArray) and found.data.block == (32, 32, 32)
    for start in ((0, 0, 0), (31, 5, 1), (54, 24, 17)):
        part = read_window(found, row, Window(start, (16, 16, 16)), domain.layout)
        assert np.array_equal(part.data, whole[(slice(None), *(slice(s, s + 16) for s in start))])


def test_what_is_not_finite_is_invalid_and_filled(tmp_path: Path) -> None:
    data = np.ones((2, 4, 4, 4), np.float32)
    data[1, 0, 0, 0], data[0, 3, 3, 3] = np.nan, np.inf
    np.save(tmp_path / "n.npy", data)
    (row,) = ToyDomain().scan(tmp_path / "n.npy")
    domain, _ = counting(Cache(tmp_path / "cache"))
    found = domain.cache.open(row, domain)
    valid = np.asarray(found.valid)
    assert not valid[0, 0, 0] and not valid[3, 3, 3] and valid.sum() == 62
    assert np.asarray(found.data)[:, 0, 0, 0].tolist() == [-1.0, -1.0]
    assert found.facts["valid"] == 62 / 64 and found.facts["mean"] == 1.0
    part = domain.read(row, Window((0, 0, 0), (2, 2, 2)))["main"]
    assert part.valid is not None and part.valid.sum() == 7


def test_nothing_valid_or_another_shape_is_unreadable() -> None:
    row = Row("a", "/a", (2, 2))
    with pytest.raises(Unreadable, match="no valid value"):
        settle(Prepared(np.full((1, 2, 2), np.nan)), row, 0.0)
    with pytest.raises(Unreadable, match=r"promises shape \(2, 2\), its content has \(2, 3\)"):
        settle(Prepared(np.zeros((1, 2, 3))), row, 0.0)


def test_entries_are_made_once_and_by_content_and_transform(tmp_path: Path) -> None:
    row, cache = item(tmp_path), Cache(tmp_path / "cache")
    domain, made = counting(cache)
    cache.open(row, domain)
    cache.open(row, domain)
    Cache(tmp_path / "cache").open(row, domain)
    Cache(tmp_path / "cache").open(row.replace(id="moved.npy"), domain)
    assert made == ["a.npy"], "neither time nor place makes an item anew"
    Cache(tmp_path / "cache").open(row, counting(cache, foreground=0.5)[0])
    other, again = counting(cache, scale=2.0)
    assert np.asarray(Cache(tmp_path / "cache").open(row, other).data)[0, 0, 0, 0] == 2 * np.load(row.path)[0, 0, 0]
    assert again == ["a.npy"], "another transform is another entry"
    Cache(tmp_path / "cache").open(row.replace(fingerprint="f" * 32), domain)
    assert len(made) == 2, "other content is another entry"


def test_the_cache_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    row, cache = item(tmp_path), Cache(tmp_path / "deep" / "cache")
    domain, _ = counting(cache)
    cache.open(row, domain)
    path = cache.path(cache.key(row, domain))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent, cache.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_open_files_are_bounded_and_reopened(tmp_path: Path) -> None:
    rows = [item(tmp_path, "x" * (i + 1)) for i in range(5)]
    domain, made = counting(Cache(tmp_path / "cache", open_items=2))
    for row in rows * 2:
        assert np.array_equal(np.asarray(domain.cache.open(row, domain).data)[0], np.load(row.path))
    assert len(made) == 5 and len(domain.cache._open) == 2


def test_pickled_and_forked_caches_open_anew(tmp_path: Path) -> None:
    row, cache = item(tmp_path), Cache(tmp_path / "cache")
    domain, made = counting(cache)
    cache.open(row, domain)
    copy = pickle.loads(pickle.dumps(cache))
    assert not copy._open and copy.room.started == cache.room.started
    copy.open(row, domain)
    cache._process = -1  # as after a fork
    assert cache.open(row, domain) is not None and cache._process == os.getpid() and len(made) == 1


def test_unused_items_give_way_and_the_runs_own_do_not(tmp_path: Path) -> None:
    rows = [item(tmp_path, "x" * (i + 1), shape=(32, 32, 32)) for i in range(4)]
    first = Cache(tmp_path / "cache")
    domain, _ = counting(first)
    for age, row in enumerate(rows[:2]):
        first.open(row, domain)
        os.utime(first.path(first.key(row, domain)), (1000 + age, 1000 + age))
    size = first.path(first.key(rows[0], domain)).stat().st_size
    second = Cache(tmp_path / "cache", max_gb=2.5 * size / 1e9)
    second.open(rows[2], domain)
    kept = {entry.source for entry in list_items(second.folder)}
    assert kept == {rows[1].path, rows[2].path}, "the least recently used gave way"
    second.open(rows[1], domain)
    with pytest.raises(
        CacheError, match=r"cache\.max_gb=.*are in use by this run.*raise cache\.max_gb or set cache\.dir"
    ):
        second.open(rows[3], domain)


def test_list_verify_and_prune(tmp_path: Path) -> None:
    rows = [item(tmp_path, name) for name in ("a", "bb", "ccc")]
    cache = Cache(tmp_path / "cache")
    domain, _ = counting(cache)
    for row in rows:
        cache.open(row, domain)
    items = list_items(cache.folder)
    assert [i.source for i in items] == [r.path for r in rows]
    assert items[0].shape == (1, 9, 10, 11) and items[0].dtype == "int16"
    assert verify(cache.folder) == []
    with items[1].path.open("r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        stream.write(b"\xff" * 3)
    (bad,) = verify(cache.folder)
    assert bad.source == rows[1].path and "checksum" in str(bad.damaged)
    assert prune(cache.folder, source=rows[0].path)[0] == 1
    assert prune(cache.folder, source=str(tmp_path / "elsewhere")) == (0, 0)
    left = list_items(cache.folder)
    os.utime(left[0].path, (1000, 1000))
    assert prune(cache.folder, max_gb=max(i.bytes for i in left) / 1e9) == (1, left[0].bytes)
    leftover = left[0].path.with_name(".x.tmp")
    leftover.touch()
    os.utime(leftover, (time.time() - 7200,) * 2)
    assert prune(cache.folder)[0] == 1 and list_items(cache.folder) == [] and not leftover.exists()
    assert list_items(tmp_path / "nowhere") == []


def test_masks_are_kept_with_their_item(tmp_path: Path) -> None:
    row, cache = item(tmp_path), Cache(tmp_path / "cache")
    domain, _ = counting(cache)
    mask = np.random.default_rng(0).integers(0, 3, row.shape).astype(np.uint8)
    np.save(tmp_path / "mask.npy", mask)
    domain.read_mask = lambda row, path, resample=False: np.load(path)  # type: ignore[method-assign]
    assert np.array_equal(np.asarray(cache.open_mask(row, tmp_path / "mask.npy", domain).data)[0], mask)
    assert np.array_equal(np.asarray(cache.open(row, domain).data)[0], np.load(row.path))
    np.save(tmp_path / "mask.npy", np.zeros_like(mask))
    assert np.asarray(Cache(cache.folder).open_mask(row, tmp_path / "mask.npy", domain).data).max() == 0


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("SSL_PLATFORM_CACHE")
    assert default_folder() == Path.home() / ".cache" / "ssl-platform"


def test_an_entry_may_be_of_any_rank(tmp_path: Path) -> None:
    data = np.arange(2 * 5, dtype=np.float32).reshape(2, 5)
    write_entry(tmp_path / "e.item", Prepared(data, geometry={"a": (1, 2), "n": np.int64(3)}), "/src")
    found = open_entry(tmp_path / "e.item")
    assert np.array_equal(np.asarray(found.data), data) and found.geometry == {"a": [1, 2], "n": 3}


def test_the_grid_of_windows_may_differ_from_what_is_stored() -> None:
    row = Row("a", "/a", (4, 10))
    stored = settle(Prepared(np.ones((1, 160), np.int16), grid=(4, 10)), row, 0.0)
    assert stored.shape == (160,)
    with pytest.raises(Unreadable, match=r"promises shape \(4, 10\), its content has \(4, 9\)"):
        settle(Prepared(np.ones((1, 150), np.int16), grid=(4, 9)), row, 0.0)
