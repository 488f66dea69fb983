"""What is declared is what the domain is."""

import subprocess
import sys

import numpy as np
import pytest

from ssl_platform_audio import doctor, plugin
from ssl_platform_audio.domain import Audio
from ssl_platform_audio.render import render


def test_declaration_and_domain_agree():
    (declared,) = plugin.ssl_platform_domains()
    assert declared.name == Audio.name
    assert declared.axes == Audio.layout.axes
    assert set(declared.symmetries) == Audio.layout.symmetries
    assert set(declared.moves) == Audio.layout.moves
    assert declared.relations == Audio.layout.relations
    assert set(declared.suffixes) == set(Audio.suffixes)
    assert declared.tasks == Audio.tasks
    assert (declared.default_objective, declared.default_backbone) == (Audio.default_objective, Audio.default_backbone)


def test_importing_the_plugin_and_the_domain_is_light():
    heavy = {"torch", "lightning", "soundfile", "soxr", "scipy", "librosa", "torchaudio", "pandas"}
    for module, also in (("plugin", {"numpy", "pydantic"}), ("domain", set())):
        code = f"import sys, ssl_platform_audio.{module}; print(*sorted({heavy | also} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert run.stdout.split() == []


@pytest.mark.parametrize("name", ["formats", "spectrogram"])
def test_doctor_checks_do_what_they_say(name):
    assert {f"audio-{name}" for name in ("formats", "spectrogram")} == {c.name for c in plugin.ssl_platform_checks()}
    line = getattr(doctor, name)()
    assert "\n" not in line and ("MP3" in line or "128x100" in line)


def test_a_picture_has_low_frequencies_at_the_bottom():
    x = np.full((1, 16, 20), -15.0, np.float32)
    x[0, 2] = 3.0
    picture = render(x)
    assert picture.shape == (16, 20, 3) and picture.dtype == np.uint8
    assert picture[13].min() > picture[0].max()
    assert render(np.full((1, 4, 4), np.nan, np.float32)).max() <= 8
    assert render(np.zeros((1, 4, 4), np.float32)).shape == (4, 4, 3)
