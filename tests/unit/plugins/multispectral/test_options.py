"""Options say what is wrong in one line, and every one is described."""

import pytest
from pydantic import ValidationError

from ssl_platform_multispectral.options import MultispectralOptions


def test_every_option_has_a_description():
    assert all(field.description for field in MultispectralOptions.model_fields.values())


@pytest.mark.parametrize("value", ["B02,B03", "[B02, B03]", ["B02", "B03"], "B02; B03"])
def test_bands_may_be_written_in_any_usual_way(value):
    assert MultispectralOptions(bands=value).bands == ("B02", "B03")


def test_channel_names_are_band_names_too():
    assert MultispectralOptions(bands=["S2-B02", "skip", "842nm"]).bands == ("S2-B02", "skip", "842nm")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bands": "B02,B77"}, "unknown band 'B77'"),
        ({"sensor": "sentinel-2"}, "did you mean 'sentinel2'"),
        ({"baseline": "five"}, "baseline"),
        ({"gsd": -10}, "gsd"),
        ({"gsd": "tenish"}, "gsd"),
        ({"tile": 3}, "tile"),
        ({"min_valid": 1.5}, "min_valid"),
        ({"block": 0}, "block"),
        ({"bandz": "B02"}, "bandz"),
    ],
)
def test_wrong_values_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        MultispectralOptions(**settings)


def test_settled_options_can_be_set_again():
    made = MultispectralOptions(gsd=10.0, pad_bands=True, bands=("B02",), baseline="05.09")
    assert MultispectralOptions.model_validate(made.model_dump()) == made
    assert MultispectralOptions.model_validate(made.model_dump(mode="json")) == made
