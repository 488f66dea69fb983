"""Doctor checks do what they say, and fail when the library lies."""

import numpy as np
import pytest

from ssl_platform_wholeslide import doctor, plugin
from ssl_platform_wholeslide.slides import Region
from ssl_platform_wholeslide.slides.openslide_reader import OpenSlideReader


def test_every_check_works_here():
    for declared in plugin.ssl_platform_checks():
        said = getattr(doctor, declared.factory.partition(":")[2])()
        assert "read back through" in said and "256x320 at 0.5 um" in said and "\n" not in said


def test_a_library_that_returns_something_else_is_caught(monkeypatch):
    monkeypatch.setattr(OpenSlideReader, "read", lambda self, a, b, c, h, w: Region(np.full((h, w, 3), 9, np.uint8)))
    with pytest.raises(RuntimeError, match="read differently"):
        doctor.openslide()
