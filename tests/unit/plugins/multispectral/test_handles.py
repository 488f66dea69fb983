"""Handles: kept, few, and never shared between processes."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.loader import Loader
from ssl_platform.data.scan import scan
from ssl_platform.errors import Unreadable
from ssl_platform.plan import Plan
from ssl_platform_multispectral import handles
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.handles import Pool
from ssl_platform_multispectral.testing import write_raster

DATA = np.random.default_rng(0).integers(1200, 4000, (3, 80, 80)).astype(np.uint16)
S2 = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "05.10"}


@pytest.fixture
def files(tmp_path):
    return [
        write_raster(
            tmp_path / f"in/{n}.tif",
            DATA + n,
            names=("B02", "B03", "B04"),
            tags=S2,
            tiled=True,
            blockxsize=16,
            blockysize=16,
        )
        for n in range(6)
    ]


def test_files_stay_open_but_only_so_many(files):
    pool = Pool(limit=3)
    first = pool.get(str(files[0]))
    assert pool.get(str(files[0])) is first and len(pool) == 1
    for file in files[1:]:
        pool.get(str(file))
    assert len(pool) == 3 and first.closed
    assert not pool.get(str(files[0])).closed


def test_memory_and_open_files_stay_bounded_over_many_reads(files):
    def held():
        return len(list(Path("/proc/self/fd").iterdir()))

    pool = Pool(limit=2)
    for file in files:
        pool.get(str(file))
    before = held()
    for n in range(300):
        pool.get(str(files[n % 6])).read(1)
    assert held() <= before + 1


def test_a_file_that_was_written_anew_is_opened_anew(files):
    pool = Pool()
    assert pool.get(str(files[0])).count == 3
    write_raster(files[0], DATA[:1])
    os.utime(files[0], ns=(1, 1))
    assert pool.get(str(files[0])).count == 1 and len(pool) == 1


def test_a_file_that_is_gone_is_named(tmp_path, files):
    with pytest.raises(Unreadable, match=r"9\.tif is no longer there"):
        Pool().get(str(tmp_path / "9.tif"))
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(Unreadable, match=r"text\.tif is no raster file"):
        Pool().get(str(tmp_path / "text.tif"))


def _read_in_child(path, queue):
    inherited = len(handles._pools.pool._open)
    source = handles.pooled(path)
    queue.put((inherited, id(source), float(source.read(1).mean())))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_opens_its_own(files):
    parent = handles.pooled(str(files[0]))
    mean = float(parent.read(1).mean())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read_in_child, args=(str(files[0]), queue))
    child.start()
    inherited, source, seen = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0 and inherited >= 1 and source != id(parent) and seen == mean
    assert float(parent.read(1).mean()) == mean


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_windows_are_the_same_with_workers(files, tmp_path, start_method):
    found = scan([tmp_path / "in"], Multispectral(), folder=tmp_path / "cache")

    def batches(**settings):
        loader = Loader(found.catalog, found.domain, Plan.single(), window=(32, 32), batch_size=3, seed=1, **settings)
        return [batch.reads[0]["main"].data for batch, _ in zip(loader, range(4), strict=False)]

    alone, helped = batches(), batches(workers=2, start_method=start_method)
    assert all(np.array_equal(a, b) for a, b in zip(alone, helped, strict=True))
