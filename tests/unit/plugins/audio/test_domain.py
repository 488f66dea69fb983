"""The domain through the platform's own scan, cache and windows; real speech where it lies beside the checkout."""

import pickle

import numpy as np
import pytest
import soundfile
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.data.box import parse_box
from ssl_platform.data.cache import Cache
from ssl_platform.data.collate import collate
from ssl_platform.data.scan import scan
from ssl_platform.data.window import grid_windows
from ssl_platform.errors import DataError
from ssl_platform.plan import Plan, Reads
from ssl_platform.transfer.label_windows import cells_of
from ssl_platform.types import Sample, Window
from ssl_platform.views.maker import ViewMaker
from ssl_platform_audio.domain import Audio
from ssl_platform_audio.logmel import LOWEST, spectrogram
from ssl_platform_audio.options import AudioOptions

RATE = 16_000


def sound(seconds, seed=0, rate=RATE):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * (300 + 200 * seed + 400 * t) * t) + 0.02 * rng.standard_normal(len(t))).astype(
        "f4"
    )


@pytest.fixture
def domain(tmp_path):
    made = Audio(AudioOptions(sample_rate=RATE))
    made.cache = Cache(tmp_path / "cache")
    return made


def row_of(domain, path, samples, rate=RATE):
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return next(iter(domain.scan(path)))


def spectra(domain, row, *windows):
    """Clean views of windows of one size, as the device makes them."""
    samples = [Sample(i, (domain.read(row, window),), position=i) for i, window in enumerate(windows)]
    batch = collate(samples, domain.layout)
    maker = ViewMaker(domain.layout, Plan.augmented(1), ViewsConfig(), tuple(domain.views()), window=windows[0].size)
    return maker.clean(batch)


def test_windows_of_labels_are_seconds(domain, tmp_path):
    row = row_of(domain, tmp_path / "a.wav", sound(3.004))
    mels, frames = row.shape
    assert frames == 300 and cells_of(domain, row, parse_box("1:2.005s", "")) == ((0, mels), (100, 201))
    assert cells_of(domain, row, parse_box("2.5:3.004", "")) == ((0, mels), (250, 300))
    for text, why in (("2:3.2", "outside the item"), ("0:1,0:1", "give t0:t1 in seconds")):
        with pytest.raises(DataError, match=why):
            cells_of(domain, row, parse_box(text, ""))


def test_a_window_reads_its_own_samples_only_and_is_a_piece_of_the_whole(domain, tmp_path):
    samples = sound(3.0)
    samples -= samples.mean()
    row = row_of(domain, tmp_path / "a.wav", samples)
    assert row.shape == (128, 300)
    part = domain.read(row, Window((0, 100), (128, 64)))["main"]
    assert part.data.shape == (1, 63 * 160 + 400) and part.data.dtype == np.int16 and part.valid is None
    assert part.spacing == (1.0, 0.01) and part.origin == (0.0, 1.0) and part.channels == ("log-mel",)
    whole = spectrogram(samples, RATE)[0]
    made = spectra(domain, row, *(Window((0, start), (128, 64)) for start in (0, 100, 236)))
    for view, start in zip(made.x[:, 0].numpy(), (0, 100, 236), strict=True):
        heard = whole[:, start : start + 64] > LOWEST + 3  # below, 16 bits round
        assert np.abs(view - whole[:, start : start + 64])[heard].max() < 0.3
        assert np.abs(view - whole[:, start : start + 64])[heard].mean() < 0.01
    assert made.valid is None or made.valid.all()
    assert made.geometry.to_source(torch.zeros(3, 1, 2))[:, 0, 1].tolist() == pytest.approx([0.0, 1.0, 2.36])


def test_short_items_are_padded_and_the_padding_is_invalid(domain, tmp_path):
    row = row_of(domain, tmp_path / "a.wav", sound(0.5))
    (window,) = grid_windows(row, (128, 96))
    assert window.start == (0, -23)
    view = spectra(domain, row, window)
    assert view.valid[0, 0].nonzero()[:, 0].tolist() == list(range(23, 73))
    assert (view.x[:, :, :, :23] == torch.tensor(domain.layout.fill)).all()
    assert domain.layout.fill == pytest.approx(LOWEST, abs=1e-5)


def test_longer_windows_than_in_pretraining_change_nothing_a_backbone_sees(domain, tmp_path):
    """A clip in a window of its own length and in one twice as long gives the same valid tokens' content."""
    from ssl_platform.nn.backbones import build

    row = row_of(domain, tmp_path / "a.wav", sound(0.64))
    net = build("vit-pico", domain.layout, ("log-mel",), (128, 128), (16, 16)).eval()
    view = spectra(domain, row, Window((0, 0), (128, 128)))
    junk = view.replace(x=torch.where(view.valid[:, None], view.x, torch.full((), 7.0)))
    with torch.inference_mode():
        plain, other = net(view), net(junk)
        own = net.tokenize(spectra(domain, row, Window((0, 0), (128, 64))))
        long = net.tokenize(view)
    assert plain.pooled.equal(other.pooled) and plain.valid.sum() == 8 * 4
    torch.testing.assert_close(long.values[0][long.valid[0]], own.values[0], atol=1e-3, rtol=0)


def test_windows_favour_sound(domain, tmp_path):
    samples = np.zeros(20 * RATE, np.float32)
    samples[8 * RATE : 9 * RATE] = sound(1.0)
    row = row_of(domain, tmp_path / "a.wav", samples)
    rng = np.random.default_rng(0)

    def share(of):
        hits = []
        for _ in range(100):
            window = of.place(row, (128, 64), rng.random(4))
            assert window.start[0] == 0 and 0 <= window.start[1] <= row.shape[1] - 64
            hits.append(np.abs(of.read(row, window)["main"].data).max() > 100)
        return np.mean(hits)

    plain = Audio(AudioOptions(sample_rate=RATE, foreground="none"))
    plain.cache = domain.cache
    assert share(domain) > 0.65 and share(plain) < 0.3


def test_windows_apart_in_time(domain, tmp_path):
    row = row_of(domain, tmp_path / "a.wav", sound(4.0))
    rng = np.random.default_rng(0)
    starts = []
    for gap, least in ((None, 64), (2.0, 200)):
        for _ in range(50):
            (_, first), (_, second) = domain.related(row, Reads(2, "time", gap=gap), (128, 64), rng.random((2, 4)))
            distance = abs(first.start[1] - second.start[1])
            far = max(first.start[1], 400 - 64 - first.start[1])
            assert distance >= min(least, far) and 0 <= second.start[1] <= 336
            starts.append(second.start[1])
    assert len(set(starts)) > 50
    (_, a), (_, b) = domain.related(row, Reads(2, "overlap"), (128, 64), rng.random((2, 4)))
    assert abs(a.start[1] - b.start[1]) <= 32
    with pytest.raises(DataError, match="no windows related by 'place'"):
        domain.related(row, Reads(2, "place"), (128, 64), rng.random((2, 4)))


def test_a_window_takes_all_bins(domain, tmp_path):
    row = row_of(domain, tmp_path / "a.wav", sound(1.0))
    with pytest.raises(DataError, match=r"data\.window=\[64, 64\]: a window takes all data\.mels=128 bins"):
        domain.read(row, Window((0, 0), (64, 64)))


def test_options_that_do_not_change_the_stored_item_keep_its_entry(domain):
    key = domain.prepare_key()
    assert Audio(AudioOptions(sample_rate=RATE, mels=64, fmin=50, mel_scale="slaney")).prepare_key() == key
    assert Audio(AudioOptions(sample_rate=RATE, mixdown="first")).prepare_key() != key


def test_a_domain_goes_to_workers(domain, tmp_path):
    row = row_of(domain, tmp_path / "a.wav", sound(1.0))
    window = Window((0, 10), (128, 32))
    there = pickle.loads(pickle.dumps(domain))
    assert np.array_equal(there.read(row, window)["main"].data, domain.read(row, window)["main"].data)


def test_mixed_formats_rates_and_notes_beside_them(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i, (name, rate) in enumerate((("a.wav", 16_000), ("b.flac", 44_100), ("c.ogg", 16_000), ("d.mp3", 22_050))):
        soundfile.write(folder / name, sound(1.0, i, rate), rate)
    soundfile.write(folder / "e.WAV", sound(1.0, 7), RATE)
    (folder / "transcripts.txt").write_text("a hello\n")
    found = scan([folder], Audio(), folder=tmp_path / "cache")
    assert len(found.catalog) == 5 and not found.quarantined
    assert found.settled["sample_rate"][0] == RATE and found.domain.options.sample_rate == RATE
    assert {row.shape for row in found.catalog.rows()} == {(128, 100)}


def test_a_manifest_column_gives_a_wrong_header_its_rate(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(3):
        soundfile.write(folder / f"{i}.wav", sound(1.0, i, 8000), 8000)
    told = [(0, {"sample_rate": 4000.0})]
    found = scan([folder], Audio(), folder=tmp_path / "cache", overrides=lambda _: told)
    assert [row.shape[1] for row in found.catalog.rows()] == [200, 100, 100]


# ---------------------------------------------------------------------------------------------------------- real files
@pytest.mark.real
def test_real_speech(real_data, tmp_path):
    folder = real_data / "audio" / "fsdd" / "recordings"
    if not folder.is_dir():
        pytest.skip("no Free Spoken Digits beside the checkout")
    files = sorted(folder.glob("[0-9]_*_[0-4].wav"))
    found = scan(files, Audio(), folder=tmp_path / "cache")
    assert len(found.catalog) == len(files) == 300 and not found.quarantined
    assert found.settled["sample_rate"] == (8000, "all 300 items are at 8000 Hz")
    domain = found.domain
    domain.cache = Cache(tmp_path / "prepared")
    rows = list(found.catalog.rows())
    assert {domain.group(row) for row in rows} == {
        (name, "speaker (Free Spoken Digit file name)")
        for name in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    }
    odd = {row.id: domain.checks(row, domain.cache.open(row, domain).facts) for row in rows[::10]}
    assert not any(odd.values()), odd
    for row in rows[::60]:
        stored, _ = soundfile.read(row.path, dtype="float32")
        view = spectra(domain, row, grid_windows(row, (128, row.shape[1]))[0])
        expected = spectrogram(stored - stored.mean(), 8000)[0]
        heard = expected > LOWEST + 3
        assert np.abs(view.x[0, 0].numpy() - expected)[heard].mean() < 0.02
