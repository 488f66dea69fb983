"""Doctor checks: each does what a run would do, in a temporary folder, and says what worked in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ssl_platform_audio.items import rows_of
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.prepare import prepare

_RATE, _HERTZ = 44_100, 1000.0


def formats() -> str:
    """WAV, FLAC, OGG and MP3 are written, decoded and resampled, and a tone comes back at its pitch."""
    import soundfile

    tone = 0.5 * np.sin(2 * np.pi * _HERTZ * np.arange(_RATE) / _RATE)
    options = AudioOptions(sample_rate=16_000)
    read = []
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("wav", "flac", "ogg", "mp3"):
            path = Path(folder, f"tone.{ending}")
            soundfile.write(path, tone, _RATE)
            row = next(iter(rows_of(path, options)))
            heard = np.asarray(prepare(row, options).data)[0]
            pitch = np.abs(np.fft.rfft(heard)).argmax() * 16_000 / len(heard)
            if abs(pitch - _HERTZ) > 2:
                raise RuntimeError(f"a tone of {_HERTZ:.0f} Hz written as {ending} was read as {pitch:.0f} Hz")
            read.append(ending.upper())
    return f"{', '.join(read)} read back at 16 kHz (libsndfile {soundfile.__libsndfile_version__})"


def spectrogram() -> str:
    """A tone lies in its mel bin."""
    from ssl_platform_audio import logmel
    from ssl_platform_audio.spectrum import Spectrum

    tone = np.sin(2 * np.pi * _HERTZ * np.arange(16_000) / 16_000).astype(np.float32)
    values = logmel.spectrogram(tone, 16_000)
    centres = Spectrum.of(AudioOptions(), 16_000).edges[1:-1]
    found = float(centres[values[0].mean(1).argmax()])
    if abs(found - _HERTZ) > 30:
        raise RuntimeError(f"a tone of {_HERTZ:.0f} Hz is loudest in the mel bin at {found:.0f} Hz")
    return f"log-mel spectrogram {values.shape[1]}x{values.shape[2]}, a tone in its bin"
