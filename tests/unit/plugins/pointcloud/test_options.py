"""Options: what is accepted, what is refused, all of it documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ssl_platform_pointcloud.options import PointCloudOptions

DOCS = Path(__file__).resolve().parents[4] / "docs" / "pointcloud.md"


def test_every_option_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    for name, field in PointCloudOptions.model_fields.items():
        assert f"`data.{name}`" in text and field.description


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "both"},
        {"up": "w"},
        {"unit": "yard"},
        {"scale": "big"},
        {"colour_max": "white"},
        {"thin": 0},
        {"max_points": 10},
        {"min_points": 0},
        {"mesh": "edges"},
        {"mesh_points": 1},
        {"unknown": 1},
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        PointCloudOptions(**wrong)


def test_one_feature_needs_no_list():
    assert PointCloudOptions(features="colour").features == ("colour",)
    assert PointCloudOptions(features=["normal", "curvature"]).features == ("normal", "curvature")
    assert PointCloudOptions().features == "auto"
