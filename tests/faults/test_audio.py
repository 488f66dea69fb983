"""The nastiest recordings cost only themselves and say why in one line, on the command line too."""

import csv
import json

import numpy as np
import pytest
import soundfile

from ssl_platform.cli.main import main

RATE = 16_000


def tone(seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * (200 + 50 * seed) * t) + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


def good(folder, count=8):
    folder.mkdir(exist_ok=True)
    for i in range(count):
        soundfile.write(folder / f"good{i}.wav", tone(seed=i), RATE)
    return folder


def cut(path, share=0.5):
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])


def truncated_wav(path):
    soundfile.write(path.with_suffix(".wav"), tone(), RATE)
    cut(path.with_suffix(".wav"))


def truncated_flac(path):
    """Its header promises all samples: only decoding tells."""
    soundfile.write(path.with_suffix(".flac"), tone(4.0), RATE)
    cut(path.with_suffix(".flac"))


def truncated_mp3(path):
    soundfile.write(path.with_suffix(".mp3"), tone(4.0), RATE)
    cut(path.with_suffix(".mp3"))


def login_page(path):
    path.with_suffix(".mp3").write_text("<!DOCTYPE html><html>please log in</html>\n" * 50)


def silent(path):
    soundfile.write(path.with_suffix(".wav"), np.zeros(RATE, np.float32), RATE)


def opposite_channels(path):
    soundfile.write(path.with_suffix(".wav"), np.stack([tone(), -tone()], 1), RATE)


def header_only(path):
    soundfile.write(path.with_suffix(".wav"), np.zeros(0, np.float32), RATE)


def click(path):
    soundfile.write(path.with_suffix(".wav"), tone(0.01), RATE)


def phone_memo(path):
    path.with_suffix(".m4a").write_bytes(b"\0\0\0\x20ftypM4A " + b"\0" * 500)


BAD = {
    truncated_wav: "truncated: ",
    truncated_flac: "truncated",
    truncated_mp3: "truncated: ",
    login_page: "not MP3 audio although its name says so",
    silent: "silent: every sample is 0",
    opposite_channels: "cancel each other to silence when mixed: set data.mixdown=first",
    header_only: "it holds no samples",
    click: "10.0 ms long, shorter than one window of data.frame_ms=25",
    phone_memo: "M4A is not decoded: convert it, e.g. ffmpeg -i IN OUT.flac",
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_PLATFORM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_file_never_stops_a_scan_of_good_ones(tmp_path, capfd, make):
    folder = good(tmp_path / "in")
    make(folder / "bad")
    assert main(["scan", str(folder), "--domain", "audio", "data.max_bad_fraction=0.2"]) == 0
    said = capfd.readouterr().out
    assert BAD[make] in said and "8 items" in said and "Traceback" not in said


def test_all_of_them_at_once_are_listed(tmp_path, capfd):
    folder = good(tmp_path / "in")
    for make in BAD:
        make(folder / make.__name__)
    words = ["pretrain", "--domain", "audio", "--data", str(folder), "--run", str(tmp_path / "run"), "--dry-run"]
    assert main([*words, "data.batch_size=4", "data.workers=0"]) == 2
    error = capfd.readouterr().err.strip().splitlines()
    # What only decoding tells is not yet among them.
    assert len(error) == 1 and "6 of 17 items are unreadable" in error[0] and "data.max_bad_fraction" in error[0]
    words.remove("--dry-run")
    small = ["trainer.max_steps=2", "data.batch_size=4", "data.workers=0", "data.max_bad_fraction=0.6"]
    assert main([*words, *small, "health.enabled=false"]) == 0
    listed = list(csv.DictReader((tmp_path / "run" / "quarantine.csv").open()))
    assert len(listed) == 9 and not any("good" in row["path"] for row in listed)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["quarantined"] == 9


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["data.window=[64,64]"], "a window takes all data.mels=128 bins"),
        (["data.hop_ms=50"], "leaves gaps between frames of frame_ms=25"),
        (["data.samplerate=16000"], "data.sample_rate"),
        (["data.fmin=9000"], "data.fmin=9000"),
    ],
)
def test_wrong_settings_name_the_key(tmp_path, capfd, words, text):
    folder = good(tmp_path / "in", 4)
    run = ["pretrain", "--domain", "audio", "--data", str(folder), "--run", str(tmp_path / "run"), "data.workers=0"]
    assert main([*run, "data.batch_size=2", "trainer.max_steps=1", *words]) == 2
    assert text in capfd.readouterr().err.strip().splitlines()[-1]


def test_a_folder_without_recordings(tmp_path, capfd):
    (tmp_path / "notes.txt").write_text("none here")
    assert main(["scan", str(tmp_path), "--domain", "audio"]) == 2
    error = capfd.readouterr().err.strip().splitlines()
    assert len(error) == 1 and "no items" in error[0]
