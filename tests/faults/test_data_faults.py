"""What disks, other processes and broken files do to a run: each is survived, or is one line that says what helps."""

from __future__ import annotations

import errno
import gc
import itertools
import multiprocessing
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data import entry, entry_header
from ssl_platform.data.cache import Cache
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.loader import Loader
from ssl_platform.data.prepared import Prepared
from ssl_platform.data.scan import Scan, scan
from ssl_platform.errors import CacheError, RunFailed
from ssl_platform.plan import Plan
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.types import Row, Window


def fill(folder: Path, count: int = 6, edge: int = 8) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        np.save(folder / f"{i}.npy", np.full((edge,) * 3, i, np.float32))
    return folder


def ready(tmp_path: Path, count: int = 6) -> tuple[Catalog, ToyDomain]:
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    return look(fill(tmp_path / "set", count), tmp_path).catalog, domain


def look(folder: Path, tmp_path: Path, domain: ToyDomain | None = None) -> Scan:
    return scan([folder], domain or ToyDomain(), folder=tmp_path / "cache", max_bad_fraction=0.9)


def reasons(found: Scan) -> dict[str, str]:
    return {Path(item.path).name: item.reason for item in found.quarantined}


# ------------------------------------------------------------------------------------------------------ while indexing
def test_mixed_good_and_bad_files_finish_and_the_bad_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "set")
    (folder / "truncated.npy").write_bytes((folder / "0.npy").read_bytes()[:40])
    (folder / "empty.npy").touch()
    (folder / "text.npy").write_text("not an array")
    np.save(folder / "locked.npy", np.zeros((8, 8, 8), np.float32))
    (folder / "gone.npy").symlink_to(folder / "nowhere.npy")
    (folder / "locked.npy").chmod(0)
    if os.geteuid() == 0:  # root reads everything: refuse in its place
        load = np.load

        def refusing(path: Path, **settings: object) -> object:
            if Path(path).name == "locked.npy":
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return load(path, **settings)  # type: ignore[call-overload]

        monkeypatch.setattr(np, "load", refusing)
    found = look(folder, tmp_path)
    assert len(found.catalog) == 6
    told = reasons(found)
    assert set(told) == {"truncated.npy", "empty.npy", "text.npy", "locked.npy", "gone.npy"}
    assert told["empty.npy"] == "it is empty" and told["locked.npy"] == "permission denied"
    assert told["gone.npy"] == "a link to what is not there"
    assert all("\n" not in reason for reason in told.values())


def test_a_reader_that_breaks_costs_only_its_file(tmp_path: Path) -> None:
    class Breaking(ToyDomain):
        def scan(self, path: Path) -> Iterable[Row]:
            if path.name == "3.npy":
                raise KeyError("header")
            return super().scan(path)

    found = look(fill(tmp_path / "set"), tmp_path, Breaking())
    assert reasons(found) == {"3.npy": "KeyError: 'header'"} and len(found.catalog) == 5


def test_a_file_that_changes_once_is_read_again(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 2)

    class Changing(ToyDomain):
        changes = 1

        def scan(self, path: Path) -> Iterable[Row]:
            rows = list(super().scan(path))
            if path.name == "1.npy" and self.changes:
                type(self).changes -= 1
                np.save(path, np.zeros((9 + self.changes, 8, 8), np.float32))
                os.utime(path, ns=(1, self.changes + 1))
            return rows

    found = look(folder, tmp_path, Changing())
    assert not found.quarantined and found.catalog.row(1).shape == (9, 8, 8)
    Changing.changes = 100
    (folder / "1.npy").touch()
    assert "changed while it was being read" in reasons(look(folder, tmp_path, Changing()))["1.npy"]


# -------------------------------------------------------------------------------------------------------- at run time
def test_vanished_files_are_replaced_the_same_way_each_time(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path, 8)
    (tmp_path / "set/2.npy").unlink()

    def run(**settings: object) -> tuple[list[int], Loader]:
        loader = Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=2, seed=3, **settings)  # type: ignore[arg-type]
        return [int(i) for batch in itertools.islice(loader, 8) for i in batch.index], loader

    index, loader = run()
    again, helped = run(workers=2)
    assert index == again and 2 not in index
    assert loader.substitutes == helped.substitutes and len(loader.substitutes) == 2
    substitute = loader.substitutes[0]
    assert substitute.failed == "2.npy" and "no such file" in substitute.reason
    assert substitute.index == index[substitute.position]


def test_resume_meets_the_substitutes_of_the_run_again(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path, 8)
    kept = (tmp_path / "set/2.npy").read_bytes()
    (tmp_path / "set/2.npy").unlink()
    settings = {"window": (4, 4, 4), "batch_size": 2, "seed": 3}
    loader = Loader(catalog, domain, Plan.single(), **settings)  # type: ignore[arg-type]
    index = [b.index.tolist() for b in itertools.islice(loader, 4)]
    (tmp_path / "set/2.npy").write_bytes(kept)  # the disk is back
    replay = Loader(catalog, domain, Plan.single(), substitutes=loader.substitutes, **settings)  # type: ignore[arg-type]
    assert [b.index.tolist() for b in itertools.islice(replay, 4)] == index
    assert replay.substitutes == loader.substitutes
    forgetful = Loader(catalog, domain, Plan.single(), **settings)  # type: ignore[arg-type]
    assert [b.index.tolist() for b in itertools.islice(forgetful, 4)] != index


def test_a_file_damaged_after_the_scan_is_replaced(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path)
    np.save(tmp_path / "set/1.npy", np.zeros((5, 5), np.float32))
    loader = Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=6)
    batch = next(iter(loader))
    assert 1 not in batch.index and loader.substitutes[0].failed == "1.npy"


def test_a_lost_disk_ends_the_run_with_one_line(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path)
    for file in (tmp_path / "set").iterdir():
        file.unlink()
    for workers in (0, 1):
        loader = Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=2, workers=workers)
        with pytest.raises(RunFailed, match=r"16 items in a row cannot be read.*no such file.*is the disk still there"):
            next(iter(loader))


def test_too_many_failures_end_the_run(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path)
    for i in (0, 1, 2):
        (tmp_path / f"set/{i}.npy").unlink()
    loader = Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=4)
    with pytest.raises(RunFailed, match=r"reads failed, more than data\.max_bad_fraction=0\.33"):
        list(itertools.islice(loader, 50))


def test_a_killed_reader_process_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)

    class Killed(ToyDomain):
        def prepare(self, row: Row) -> Prepared:
            os._exit(9)

    catalog, _ = ready(tmp_path)
    domain = Killed()
    domain.cache = Cache(tmp_path / "other")
    loader = Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=2, workers=1, start_method="fork")
    with pytest.raises(RunFailed, match=r"reader process ended.*data\.workers"):
        next(iter(loader))
    gc.collect()  # torch joins what is left of its processes here, not in a later test


# ----------------------------------------------------------------------------------------------------------- the cache
def test_a_full_disk_names_the_space_and_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, domain = ready(tmp_path)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(entry, "write_blocks", full)
    with pytest.raises(
        CacheError, match=r"disk of the cache .* is full: .*MB needed, .*MB free; set cache\.dir.*cache\.max_gb"
    ):
        domain.cache.open(catalog.row(0), domain)  # type: ignore[union-attr]
    assert not [p for p in (tmp_path / "cache/prepared").rglob("*") if p.is_file()], "nothing half-written is left"
    loader = Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=2, workers=1, start_method="fork")
    with pytest.raises(CacheError, match="is full"):  # it is the run's failure, not the item's
        next(iter(loader))


def test_a_cache_folder_that_is_none_says_so(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path)
    (tmp_path / "file").write_text("in the way")
    domain.cache = Cache(tmp_path / "file")
    with pytest.raises(CacheError, match=r"cannot be read .*set cache\.dir"):
        domain.cache.open(catalog.row(0), domain)


@pytest.mark.parametrize("damage", ["header", "magic", "truncated", "emptied", "longer"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    catalog, domain = ready(tmp_path)
    row, cache = catalog.row(3), domain.cache
    assert cache is not None
    cache.open(row, domain)
    path = cache.path(cache.key(row, domain))
    whole = path.read_bytes()
    path.write_bytes(
        {
            "header": whole[:40] + b"\0\0" + whole[42:],
            "magic": b"NOTMINE!" + whole[8:],
            "truncated": whole[:-100],
            "emptied": b"",
            "longer": whole + b"x",
        }[damage]
    )
    found = Cache(cache.folder).open(row, domain)
    assert np.array_equal(np.asarray(found.data)[0], np.load(row.path))
    assert "damaged" in caplog.text and "made again" in caplog.text


def _build(folder: str, row: Row, path: str, ready: multiprocessing.synchronize.Event) -> None:
    domain = ToyDomain()
    domain.cache = Cache(folder)
    ready.wait(10)
    part = domain.read(row, Window((0, 0, 0), (8, 8, 8)))["main"]
    np.save(path, part.data)


def test_processes_that_make_one_entry_agree(tmp_path: Path) -> None:
    catalog, _ = ready(tmp_path)
    context = multiprocessing.get_context("fork")
    start, row = context.Event(), catalog.row(4)
    arguments = [(str(tmp_path / "cache"), row, str(tmp_path / f"out{i}.npy"), start) for i in range(4)]
    processes = [context.Process(target=_build, args=a) for a in arguments]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(20)
    assert [p.exitcode for p in processes] == [0] * 4
    assert all((np.load(tmp_path / f"out{i}.npy") == 4).all() for i in range(4))
    files = [p for p in (tmp_path / "cache/prepared").rglob("*") if p.is_file()]
    assert len(files) == 1 and entry_header.check(files[0]) is None


def test_an_entry_removed_while_in_use_stays_readable(tmp_path: Path) -> None:
    catalog, domain = ready(tmp_path)
    row, cache = catalog.row(5), domain.cache
    assert cache is not None
    found = cache.open(row, domain)
    cache.path(cache.key(row, domain)).unlink()
    assert (np.asarray(found.data) == 5).all()
    assert (np.asarray(Cache(cache.folder).open(row, domain).data) == 5).all()
