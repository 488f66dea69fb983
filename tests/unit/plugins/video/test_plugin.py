"""What is declared is what the domain is; options, doctor and pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ssl_platform_video import doctor, plugin
from ssl_platform_video.domain import Video
from ssl_platform_video.find import find
from ssl_platform_video.options import VideoOptions

DOCS = Path(__file__).resolve().parents[4] / "docs" / "video.md"


def test_declaration_and_domain_agree():
    (declared,) = plugin.ssl_platform_domains()
    assert declared.name == Video.name and declared.axes == Video.layout.axes
    assert set(declared.symmetries) == Video.layout.symmetries and set(declared.moves) == Video.layout.moves
    assert declared.relations == Video.layout.relations and declared.suffixes == Video.suffixes
    assert declared.tasks == Video.tasks
    assert (declared.default_objective, declared.default_backbone) == (Video.default_objective, Video.default_backbone)


def test_importing_the_plugin_and_the_domain_is_light():
    heavy = {"torch", "lightning", "av", "decord", "torchcodec", "pytorchvideo", "PIL", "scipy", "pandas"}
    for module, also in (("plugin", {"numpy", "pydantic"}), ("domain", set())):
        code = f"import sys, ssl_platform_video.{module}; print(*sorted({heavy | also} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert run.stdout.split() == []


def test_every_option_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    for name, field in VideoOptions.model_fields.items():
        assert f"`data.{name}`" in text and field.description


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0},
        {"fps": "often"},
        {"short_side": 8},
        {"frame_rate": -1},
        {"stream": -1},
        {"decoder": "opencv"},
        {"decoded": True},
        {"speeds": ()},
        {"speeds": (0.0,)},
        {"unknown": 1},
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        VideoOptions(**wrong)


def test_rates_are_accepted_as_people_write_them():
    assert VideoOptions(fps="30000/1001").fps == pytest.approx(29.97, abs=1e-2)
    assert VideoOptions(fps="native", frame_rate="25").frame_rate == 25.0


def test_candidates_are_videos_and_folders_of_frames(tmp_path):
    for name in ("b.MP4", "a/x.webm", "a/notes.txt", "seq/0001.jpg", "seq/0002.jpg", "one/0001.png", ".hidden/x.mp4",
                 "photos/beach.jpg", "photos/sea.jpg"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find(tmp_path)]
    assert found == ["b.MP4", "a/x.webm", "seq"]
    assert list(find(tmp_path / "a" / "notes.txt")) == [tmp_path / "a" / "notes.txt"]


def test_doctor_writes_and_reads():
    assert doctor.pyav() == "PyAV decodes what was written"
    assert "mp4" in doctor.containers() and "webm" in doctor.containers()
    assert "decord" in doctor.decord()


def test_a_clip_is_shown_as_frames_side_by_side():
    clip = np.zeros((3, 16, 20, 30), np.float32)
    clip[0, -1], clip[1, 0, 0, 0] = 300.0, np.nan
    picture = Video().render(clip, ("red", "green", "blue"))
    assert picture.shape == (20, 6 * 31 - 1, 3) and picture.dtype == np.uint8
    assert picture[0, -1].tolist() == [255, 0, 0] and picture[0, 0].tolist() == [0, 0, 0]
