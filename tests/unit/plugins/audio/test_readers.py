"""Files of every format, and what is refused with which word."""

import numpy as np
import pytest
import soundfile

from ssl_platform.errors import Unreadable
from ssl_platform_audio.readers import OTHERS, blocks, first_block, header_of

RATE = 48_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
STEREO = np.stack([TONE, 0.5 * TONE], 1)


def written(path, samples=TONE, rate=RATE, **how):
    soundfile.write(path, samples, rate, **how)
    return path


EXACT = [
    ("a.wav", "PCM_16"),
    ("a.wav", "PCM_24"),
    ("a.wav", "FLOAT"),
    ("a.wav", "PCM_U8"),
    ("a.flac", "PCM_16"),
    ("a.flac", "PCM_24"),
    ("a.aiff", "PCM_16"),
    ("a.au", "PCM_16"),
    ("a.caf", "PCM_16"),
    ("a.w64", "PCM_16"),
]
CODED = [("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III")]


@pytest.mark.parametrize(("name", "subtype"), EXACT + CODED)
def test_every_format_is_read_to_its_end(tmp_path, name, subtype):
    path = written(tmp_path / name, subtype=subtype)
    header = header_of(path)
    assert (header.frames, header.rate, header.channels) == (RATE, RATE, 1)
    samples = np.concatenate(list(blocks(path, header, "mean")))
    assert samples.shape == (RATE,) and samples.dtype == np.float32
    assert np.abs(samples - TONE).max() < (0.01 if (name, subtype) in EXACT else 0.1)


def test_opus(tmp_path):
    path = tmp_path / "a.opus"
    with path.open("wb") as stream:
        soundfile.write(stream, TONE, RATE, format="OGG", subtype="OPUS")
    header = header_of(path)
    assert header.rate == RATE and abs(header.frames - RATE) < 1000


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_channels_are_mixed_or_the_first_is_taken(tmp_path, name):
    path = written(tmp_path / name, STEREO)
    header = header_of(path)
    mean, first = (np.concatenate(list(blocks(path, header, how))) for how in ("mean", "first"))
    assert np.abs(mean - 0.75 * TONE).max() < 1e-3 and np.abs(first - TONE).max() < 1e-3
    assert first_block(path).shape == (RATE, 2)


def test_long_files_come_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("ssl_platform_audio.readers._BLOCK", 1000)
    path = written(tmp_path / "a.wav", subtype="FLOAT")
    pieces = list(blocks(path, header_of(path), "mean"))
    assert max(map(len, pieces)) == 1000 and np.array_equal(np.concatenate(pieces), TONE)


def refusal(path):
    with pytest.raises(Unreadable) as caught:
        header = header_of(path)
        list(blocks(path, header, "mean"))
    assert "\n" not in caught.value.why and str(path.parent) not in caught.value.why
    return caught.value.why


def half(path):
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
def test_cut_off_files_are_found(tmp_path, name):
    assert "truncated" in refusal(half(written(tmp_path / name)))


def test_an_ogg_cut_between_two_pages_is_found(tmp_path):
    """What is left decodes without a complaint, and is shorter."""
    path = written(tmp_path / "a.ogg", np.random.default_rng(0).normal(0, 0.1, 20 * RATE))
    raw = path.read_bytes()
    assert raw.count(b"OggS") > 3 and header_of(path).frames
    path.write_bytes(raw[: raw.rfind(b"OggS")])
    assert "truncated" in refusal(path)


def test_a_wav_of_unknown_length_is_not_cut_off(tmp_path):
    """Programs that write to a pipe leave the sizes at their largest value."""
    path = written(tmp_path / "a.wav", subtype="PCM_16")
    raw = bytearray(path.read_bytes())
    raw[4:8] = raw[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    assert header_of(path).frames == RATE


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac"])
def test_text_with_an_ending_of_audio(tmp_path, name):
    (tmp_path / name).write_text("<!DOCTYPE html> the download needs a login " * 40)
    assert "although its name says so" in refusal(tmp_path / name)


def test_a_header_without_samples(tmp_path):
    assert "no samples" in refusal(written(tmp_path / "a.wav", np.zeros(0, np.float32)))


def test_noise_with_the_ending_of_mp3(tmp_path):
    (tmp_path / "a.mp3").write_bytes(np.random.default_rng(0).integers(0, 200, 5000, dtype=np.uint8).tobytes())
    assert "no MPEG frame" in refusal(tmp_path / "a.mp3")


def test_an_mp3_with_a_long_tag_is_read(tmp_path):
    path = written(tmp_path / "a.mp3")
    tag = b"ID3\x04\x00\x00" + bytes([0, 5, 0, 0]) + b"\0" * (5 << 14)
    path.write_bytes(tag + path.read_bytes())
    assert header_of(path).frames == RATE


@pytest.mark.parametrize("ending", OTHERS)
def test_codings_without_a_decoder_name_the_way_out(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(b"\0" * 100)
    assert "ffmpeg -i IN OUT.flac" in refusal(tmp_path / f"a{ending}")


def test_a_file_that_is_gone(tmp_path):
    path = written(tmp_path / "a.wav")
    header = header_of(path)
    path.unlink()
    with pytest.raises(Unreadable, match="no longer there"):
        list(blocks(path, header, "mean"))
