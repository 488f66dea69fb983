"""Handles: bounded, their own after a fork, thrown away after an error."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_wholeslide.pool import Pool, pool
from ssl_platform_wholeslide.recent import Recent
from ssl_platform_wholeslide.testing import tissue_picture
from ssl_platform_wholeslide.writing import write_tiff


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return [str(write_tiff(folder / f"{i}.tif", tissue_picture(256, 256, i), 0.5)) for i in range(4)]


def open_files(names):
    return sum(1 for link in Path("/proc/self/fd").iterdir() if link.exists() and str(link.resolve()) in names)


def test_it_keeps_no_more_than_asked(files):
    held = Pool(2, 8)
    for name in files * 3:
        with held.slide(name, "tiffslide") as slide:
            assert slide.read(0, 0, 0, 16, 16).rgb.shape == (16, 16, 3)
        assert len(held) <= 2 and open_files(files) <= 2
    with held.slide(files[-1], "tiffslide") as slide, held.slide(files[-1], "tiffslide") as again:
        assert slide is again


def test_a_thousand_reads_over_many_slides_take_no_more_memory(files):
    import resource

    held = Pool(2, 1)

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for i in range(200):
        with held.slide(files[i % 4], "openslide") as slide:
            slide.read(0, 0, 0, 64, 64)
    before = peak()
    for i in range(1000):
        with held.slide(files[i % 4], "openslide") as slide:
            slide.read(0, 0, 0, 64, 64)
    assert peak() - before < 8_000  # kB


def test_a_slide_that_fails_is_closed_and_opened_anew(files):
    held = Pool(2, 8)
    with pytest.raises(Unreadable), held.slide(files[0], "openslide") as slide:
        raise Unreadable("cannot be decoded")
    assert len(held) == 0
    with held.slide(files[0], "openslide") as again:
        assert again is not slide and again.read(0, 0, 0, 8, 8).rgb.any()
    with pytest.raises(Unreadable, match="no longer there"), held.slide("/gone.tif", "openslide"):
        pass


def _child(name, reader, parent, queue):
    own = pool(4, 8)
    with own.slide(name, reader) as slide:
        queue.put((own.process != parent, int(slide.read(0, 100, 100, 8, 8).rgb.sum())))


@pytest.mark.parametrize(("method", "reader"), [("fork", "openslide"), ("fork", "tiffslide"), ("spawn", "openslide")])
def test_processes_have_their_own(files, method, reader):
    with pool(4, 8).slide(files[0], reader) as slide:
        expected = int(slide.read(0, 100, 100, 8, 8).rgb.sum())
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(files[0], reader, os.getpid(), queue))
    child.start()
    assert queue.get() == (True, expected)
    child.join()
    assert child.exitcode == 0


def test_threads_have_their_own(files):
    pools = []
    threads = [threading.Thread(target=lambda: pools.append(pool(4, 8))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pools[0] is not pools[1] and pool(4, 8) is pool(4, 8) is not pool(5, 8)


def test_what_is_remembered_is_bounded_in_bytes():
    import numpy as np

    memory = Recent(300)
    made = []

    def make(key):
        made.append(key)
        return np.zeros(100, np.uint8)

    for key in (1, 2, 3, 1, 4, 1, 2):
        memory.get(key, lambda key=key: make(key))
    assert made == [1, 2, 3, 4, 2] and len(memory) == 3 and memory.nbytes == 300
    memory.get("large", lambda: np.zeros(1000, np.uint8))
    assert len(memory) == 1
