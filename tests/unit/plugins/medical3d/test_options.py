"""Options: what is accepted, what is refused, all of it documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ssl_platform_medical3d.options import Medical3DOptions

DOCS = Path(__file__).resolve().parents[4] / "docs" / "medical3d.md"


def test_every_option_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    for name, field in Medical3DOptions.model_fields.items():
        assert f"`data.{name}`" in text and field.description


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing": "big"},
        {"array_axes": "SAA"},
        {"hu_window": (100, -100)},
        {"percentiles": (-1, 99)},
        {"percentiles": (0, 101)},
        {"frames": "both"},
        {"foreground_fraction": 1.5},
        {"modality": "C T"},
        {"unknown": 1},
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        Medical3DOptions(**wrong)


def test_words_are_accepted_as_written():
    assert Medical3DOptions(array_axes="spl").array_axes == "SPL"
    assert Medical3DOptions(spacing="native").spacing == "native"
