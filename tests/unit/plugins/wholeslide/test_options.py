"""The `data.*` keys."""

import pytest
from pydantic import ValidationError

from ssl_platform_wholeslide.options import WholeSlideOptions


def test_scales_are_words_or_numbers_a_microscope_may_have():
    assert WholeSlideOptions().mpp == "auto"
    for key in ("mpp", "missing_mpp"):
        made = WholeSlideOptions(**{key: 1})
        assert getattr(made, key) == 1.0 and isinstance(getattr(made, key), float)
        for bad in (0, -0.5, 352.8, "20x"):
            with pytest.raises(ValidationError):
                WholeSlideOptions(**{key: bad})


def test_every_key_is_described_and_unknown_ones_are_errors():
    assert all(field.description for field in WholeSlideOptions.model_fields.values())
    with pytest.raises(ValidationError):
        WholeSlideOptions(magnification=20)
    for bad in ({"tissue_fraction": 0}, {"tiles": 0}, {"open_slides": 0}, {"tissue_threshold": 300}, {"reader": "x"}):
        with pytest.raises(ValidationError):
            WholeSlideOptions(**bad)
