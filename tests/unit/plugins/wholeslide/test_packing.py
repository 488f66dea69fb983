"""Slides in shards: whole-number scales stay exact, others but for rounding, and it is said."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_platform.data.cache import Cache
from ssl_platform.data.entry import open_entry
from ssl_platform.data.scan import scan
from ssl_platform.types import Window
from ssl_platform_wholeslide.domain import WholeSlide
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.packing import read_packed
from ssl_platform_wholeslide.testing import tissue_picture, write_svs


@pytest.mark.parametrize(("mpp", "exact"), [(0.5, True), (1.0, True), (0.8, False)])
def test_windows_of_packed_slides(tmp_path, mpp, exact):
    write_svs(tmp_path / "a.svs", tissue_picture(700, 900), 0.5)
    found = scan([tmp_path / "a.svs"], WholeSlide(WholeSlideOptions(mpp=mpp)), folder=tmp_path / "cache")
    row, domain = found.catalog.row(0), found.domain
    domain.cache = Cache(tmp_path / "cache")
    (tmp_path / "out").mkdir()
    packed = domain.pack(row, [], tmp_path / "out")
    assert domain.packed_exactly(row) == exact and len(packed.arrays) == 2
    assert packed.arrays[domain.cache.key(row, domain)].stat().st_size < domain.packed_bytes(row)
    stored = open_entry(packed.arrays[domain.cache.key(row, domain)])
    for start in ((3, 5), (111, 97), (-10, 40), (row.shape[0] - 30, row.shape[1] - 30)):
        window = Window(start, (64, 64))
        one, two = domain.read(row, window)["main"], read_packed(stored, row, window, domain)
        assert one.spacing == two.spacing and one.origin == two.origin and one.channels == two.channels
        assert (one.valid is None) == (two.valid is None)
        assert one.valid is None or np.array_equal(one.valid, two.valid)
        apart = np.abs(one.data.astype(int) - two.data)
        assert apart.max() <= (0 if exact else 2)
