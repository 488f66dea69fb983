"""Prepared data: the same items, windows and facts as the source, whatever happens on the way."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest

from ssl_platform import api
from ssl_platform.configure import configure
from ssl_platform.data.loader import Loader
from ssl_platform.data.shards import make
from ssl_platform.data.shards.span import Index
from ssl_platform.data.shards.tar import ShardFile
from ssl_platform.data.upkeep import prune
from ssl_platform.errors import CacheError, ConfigError, DataError, RunFailed
from ssl_platform.opening import OpenData, open_data
from ssl_platform.plan import Plan

TOY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""
SHARD = 0.2  # MB: six to seven items of 27 KB


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch, install):
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    install("ssl-platform-toy", TOY)


@pytest.fixture
def source(tmp_path):
    folder, rng = tmp_path / "source", np.random.default_rng(0)
    (folder / "masks").mkdir(parents=True)
    lines = ["path,label,mask,group,split,site"]
    for i in range(20):
        np.save(folder / f"item{i:02d}.npy", rng.normal(size=(18, 19, 20)).astype(np.float32))
        np.save(folder / "masks" / f"{i:02d}.npy", rng.integers(0, 3, (18, 19, 20)))
        split = "train" if i < 12 else "test"
        lines.append(f"item{i:02d}.npy,{'ab'[i % 2]},masks/{i:02d}.npy,g{i // 2},{split},s{i % 3}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def prepared(source: Path, out: Path | str, **more) -> dict:
    return api.prepare(manifest=source / "manifest.csv", domain="toy", out=out, shard_mb=SHARD, **more)


def opened(command: str = "pretrain", **given) -> OpenData:
    overrides = given.pop("overrides", None)
    return open_data(configure(command, domain="toy", overrides=overrides, **given))


def batches(data: OpenData, first: int = 0, count: int = 4, workers: int = 0) -> list[np.ndarray]:
    loader = Loader(
        data.catalog, data.domain, Plan.single(), window=(16, 16, 16), batch_size=4, workers=workers, start=first
    )
    found = iter(loader)
    return [next(found).reads[0]["main"].data.numpy() for _ in range(count)]


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_windows_ids_labels_groups_and_splits_without_the_source(source, tmp_path, capsys):
    before = opened(manifest=source / "manifest.csv")
    windows = batches(before)
    made = prepared(source, tmp_path / "out")
    said = capsys.readouterr().out
    assert made["items"] == 20 and made["shards"] > 3 and made["lossless"] and "bit for bit" in said
    assert all(p.stat().st_size <= SHARD * 1e6 + 2048 for p in (tmp_path / "out" / "shards").iterdir())
    shutil.rmtree(source)
    shutil.rmtree(tmp_path / "cache")
    after = opened(data=[tmp_path / "out"])
    assert after.rows == before.rows and after.catalog.id == before.catalog.id
    assert (after.facts.label, after.facts.group) == (before.facts.label, before.facts.group)
    assert after.facts.meta["site"] == before.facts.meta["site"]
    assert after.splits.id == before.splits.id and np.array_equal(after.splits.codes, before.splits.codes)
    assert all(np.array_equal(a, b) for a, b in zip(windows, batches(after), strict=True))
    assert not list((tmp_path / "cache").rglob("*.item"))  # nothing was copied


def test_masks_are_read_from_shards_where_the_task_is_dense(source, tmp_path):
    before = opened("finetune", manifest=source / "manifest.csv", task="segmentation", encoder="random")
    prepared(source, tmp_path / "out")
    shutil.rmtree(source)
    after = opened("finetune", data=[tmp_path / "out"], task="segmentation", encoder="random")
    assert after.facts.layout == before.facts.layout and after.facts.mask == before.facts.mask
    row, path = after.rows[3], Path(after.facts.mask[3])
    found = [np.asarray(data.domain.cache.open_mask(row, path, data.domain).data) for data in (after,)]
    assert found[0].shape == (1, 18, 19, 20) and set(np.unique(found[0])) == {0, 1, 2}


def test_batches_depend_on_the_position_alone(source, tmp_path):
    prepared(source, tmp_path / "out")
    whole = batches(opened(data=[tmp_path / "out"]), count=6)
    again = batches(opened(data=[tmp_path / "out"]), first=12, count=3, workers=2)
    assert all(np.array_equal(a, b) for a, b in zip(whole[3:], again, strict=True))


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_was_stopped_goes_on_and_ends_with_the_same_bytes(source, tmp_path, monkeypatch, failure):
    prepared(source, tmp_path / "whole")
    add, calls = ShardFile.add, []

    def failing(self, name, path):
        calls.append(name)
        if len(calls) == 17:
            raise failure
        return add(self, name, path)

    monkeypatch.setattr(ShardFile, "add", failing)
    with pytest.raises((RunFailed, KeyboardInterrupt)) as stopped:
        prepared(source, tmp_path / "out")
    if isinstance(failure, OSError):
        assert "no space left on device" in str(stopped.value) and "finished shards stay" in str(stopped.value)
    monkeypatch.undo()
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="is not finished: run the ssl-platform prepare command"):
        opened(data=[tmp_path / "out"])
    packed = []
    one = make.run

    def counting(jobs, *given):
        for job, outcome in one(jobs, *given):
            packed.append(job.item)
            yield job, outcome

    monkeypatch.setattr(make, "run", counting)
    prepared(source, tmp_path / "out")
    assert 0 < packed[0] <= 8 and packed == list(range(packed[0], 20))
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(source, tmp_path):
    prepared(source, tmp_path / "one")
    prepared(source, tmp_path / "two", overrides={"data.workers": 2})
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_an_unreadable_source_is_quarantined_and_the_rest_goes_on(source, tmp_path):
    whole = (source / "item05.npy").read_bytes()
    (source / "item05.npy").write_bytes(whole[:-100])
    made = prepared(source, tmp_path / "out", overrides={"data.max_bad_fraction": 0.1})
    assert (made["items"], made["quarantined"]) == (19, 1)
    after = opened(data=[tmp_path / "out"])
    assert "item05.npy" not in [row.id for row in after.rows]
    assert not after.quarantined  # that was accepted when it was prepared
    assert any("left out when it was prepared: 1 item" in line and "item05.npy" in line for line in after.lines)
    with pytest.raises(DataError, match="1 of 20 items are unreadable"):
        prepared(source, tmp_path / "other", overrides={"data.max_bad_fraction": 0.01})


def test_a_folder_of_another_preparation_is_refused(source, tmp_path, capsys):
    prepared(source, tmp_path / "out")
    capsys.readouterr()
    assert prepared(source, tmp_path / "out")["items"] == 20
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"another preparation, whose options scale is 1\.0 and not 2\.0"):
        prepared(source, tmp_path / "out", overrides={"data.scale": 2.0})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty and holds no preparation"):
        prepared(source, tmp_path / "full")
    with pytest.raises(DataError, match="is prepared data already"):
        api.prepare(data=[tmp_path / "out"], domain="toy", out=tmp_path / "again")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_other_options_than_it_was_prepared_with_are_refused_in_one_line(source, tmp_path):
    prepared(source, tmp_path / "out")
    with pytest.raises(DataError, match=r"was prepared with data\.scale=1\.0, and holds nothing else"):
        opened(data=[tmp_path / "out"], overrides={"data.scale": 2.0})
    with pytest.raises(DataError, match="is read alone: leave out"):
        opened(data=[tmp_path / "out", source])
    assert len(opened(data=[tmp_path / "o?t*"]).rows) == 20
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    with pytest.raises(DataError, match="which is read alone"):
        opened(data=[tmp_path / "o*t*"])
    with pytest.raises(DataError, match=r"out is prepared data, which is read alone: leave out .*other, or prepare"):
        opened(data=[tmp_path / "out", tmp_path / "other"])
    with pytest.raises(ConfigError, match="brings its own facts"):
        opened(data=[tmp_path / "out"], manifest=source / "manifest.csv")
    assert len(opened(data=[tmp_path / "out"], overrides={"data.foreground": 0.5}).rows) == 20


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_a_damaged_shard_is_named_its_items_quarantined_and_the_rest_goes_on(source, tmp_path, damage):
    prepared(source, tmp_path / "out")
    index = Index(tmp_path / "out" / "index.parquet")
    lost = {index[i].item for i in range(len(index)) if index[i].shard == 1}
    shard = tmp_path / "out" / "shards" / "000001.tar"
    stored = bytearray(shard.read_bytes())
    if damage == "gone":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(stored[:-5000])
    else:
        span = next(index[i] for i in range(len(index)) if index[i].shard == 1 and "mask" not in index[i].member)
        stored[span.offset + span.length - 7] ^= 255
        shard.write_bytes(stored)
        lost = {span.item}
    with pytest.raises(DataError, match=r"shards/000001\.tar"):
        opened(data=[tmp_path / "out"], overrides={"data.max_bad_fraction": 0.01})
    after = opened(data=[tmp_path / "out"], overrides={"data.max_bad_fraction": 0.9})
    assert len(after.rows) == 20 - len(lost) and len(after.quarantined) == len(lost) > 0
    assert all("shards/000001.tar" in q.reason for q in after.quarantined)
    assert len(batches(after)) == 4


def test_addresses_of_fsspec_are_written_and_read(source, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    before = batches(opened(manifest=source / "manifest.csv"))
    url = f"memory://{tmp_path.name}/prepared"
    made = prepared(source, url)
    assert made["folder"] == url
    names = fsspec.filesystem("memory").find(f"/{tmp_path.name}/prepared")
    assert sum(name.endswith(".tar") for name in names) == made["shards"]
    after = opened(data=[url])
    assert all(np.array_equal(a, b) for a, b in zip(before, batches(after), strict=True))
    assert prepared(source, f"file://{tmp_path}/local")["items"] == 20
    assert len(opened(data=[f"file://{tmp_path}/local"]).rows) == 20
    with pytest.raises(DataError, match="holds no prepared data"):
        opened(data=["memory://nothing/there"])


def test_what_is_fetched_keeps_to_the_bound_of_the_cache_and_the_oldest_gives_way(source, tmp_path, caplog):
    """Twenty items of 27 KB through 150 KB: every batch is as ever, and the folder never holds more."""
    pytest.importorskip("fsspec")
    expected = batches(opened(manifest=source / "manifest.csv"), count=8)
    url, bound = f"memory://{tmp_path.name}/small", 150_000
    prepared(source, url)
    shutil.rmtree(tmp_path / "cache")
    data = opened(data=[url], overrides={"cache.max_gb": bound / 1e9, "data.check": "header"})
    assert any(f"are fetched into {tmp_path / 'cache'}" in line and "keeps the latest" in line for line in data.lines)
    fetched, seen = tmp_path / "cache" / "members", set()
    for at, batch in enumerate(expected):
        assert np.array_equal(batches(data, first=4 * at, count=1)[0], batch)
        held = list(fetched.iterdir())
        assert sum(file.stat().st_size for file in held) <= bound
        seen |= {file.name for file in held}
    assert len(seen) > len(held) and "gave way" in caplog.text and "fetched again when needed" in caplog.text
    last = batches(data, first=28, count=1)
    names = {file.name for file in fetched.iterdir()}
    assert np.array_equal(last[0], expected[-1]) and names == {file.name for file in held}  # the latest stayed
    assert prune(tmp_path / "cache")[0] == len(held) and not list(fetched.iterdir())
    with pytest.raises(CacheError, match=r"raise cache\.max_gb or set cache\.dir"):
        batches(opened(data=[url], overrides={"cache.max_gb": 2e-5, "data.check": "header"}), count=1)


def test_scan_names_what_it_is(source, tmp_path, capsys):
    text = (source / "manifest.csv").read_text()
    (source / "manifest.csv").write_text(text.replace(",mask,", ",outline,"))  # one task, as scan asks for
    prepared(source, tmp_path / "out")
    capsys.readouterr()
    assert api.scan(data=[tmp_path / "out"])["items"] == 20
    said = capsys.readouterr().out
    assert "domain: toy" in said and "prepared data of toy: 20 items" in said
    assert "content: 20 of 20 items were read to their end" in said
