"""Small slides for the tests."""

import pytest

from ssl_platform.data.cache import Cache
from ssl_platform_wholeslide.domain import WholeSlide
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.testing import tissue_picture
from ssl_platform_wholeslide.writing import write_tiff


@pytest.fixture(scope="session")
def picture():
    """`[512, 640, 3]`: tissue in the middle of glass."""
    return tissue_picture(512, 640)


@pytest.fixture(scope="session")
def slide_file(tmp_path_factory, picture):
    """The picture as a pyramid at 0.5 um a pixel."""
    return write_tiff(tmp_path_factory.mktemp("slide") / "slide.tif", picture, 0.5, (1, 2, 4))


@pytest.fixture
def domain_of(tmp_path):
    """`domain_of(mpp=0.5)`: a domain with options and a cache."""

    def make(**options):
        domain = WholeSlide(WholeSlideOptions(**options))
        domain.cache = Cache(tmp_path / "cache")
        return domain

    return make
