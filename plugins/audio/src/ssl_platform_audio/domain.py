"""Recordings: speech, music, animals, machines, as log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.errors import DataError
from ssl_platform.plan import Reads
from ssl_platform.types import Channel, Layout, Part, Row, Window
from ssl_platform_audio import items
from ssl_platform_audio.options import AudioOptions
from ssl_platform_audio.readers import OTHERS, SUFFIXES

if TYPE_CHECKING:
    from ssl_platform.data.box import Box
    from ssl_platform.data.prepared import Prepared
    from ssl_platform.views.operation import Operation

# Neither axis may be flipped: time has a direction and so has pitch. Level and noise are the domain's own operations.
SYMMETRIES = ("scale", "gain", "noise")
MOVES = ("flip:T", "shuffle")
RELATIONS = ("same", "overlap", "time")
_TRANSFORM_VERSION = 2
_WAVEFORM = Layout("C T", unit="s")


class Audio(Domain):
    """Recordings of any rate, length and number of channels on a grid F, T of mel bins and frames.

    The cache keeps waveforms (one channel, int16, at `data.sample_rate`); a window reads the samples its frames look
    at, and the device turns a batch of them into log-mel spectrograms: natural logarithms of power, channel `log-mel`.
    """

    name = "audio"
    layout: ClassVar[Layout] = Layout(
        axes="C F T",
        channels=(Channel(items.CHANNEL, unit="ln power"),),
        unit="s",
        symmetries=frozenset(SYMMETRIES),
        moves=frozenset(MOVES),
        fill=-15.942385,  # silence: the logarithm of 2**-23
        relations=RELATIONS,
    )
    suffixes = SUFFIXES
    Options: ClassVar[type[DomainOptions]] = AudioOptions
    columns: ClassVar[Mapping[str, type]] = {"sample_rate": float}
    tasks = ("classification", "multi-label", "regression", "retrieval", "fewshot")
    window = (128, 1024)
    patch = (16, 16)
    packed_words = "16-bit waveforms at the set's sample rate"

    # -------------------------------------------------------------------------------------------------------- catalog
    def claims(self, path: Path) -> bool:
        """Files that are read, and recordings that would be but for their coding: they are refused by name."""
        return path.name.lower().endswith((*SUFFIXES, *OTHERS))

    def scan(self, path: Path) -> Iterable[Row]:
        """The row of a file, from its header.

        Raises:
            Unreadable: it cannot be used.
        """
        yield from items.rows_of(path, self.options)

    def fit(self, row: Row) -> Row:
        """The row in the grid of its spectrogram, under the options and the column `sample_rate`."""
        return items.fit(row, self.options)

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """The sample rate, where it is `auto`."""
        from ssl_platform_audio.settle import settle

        return settle(rows, self.options)

    def group(self, row: Row) -> tuple[str | None, str]:
        """The speaker or recording that the file names of well-known collections state, else None."""
        return row.group, str(row.meta.get("group_rule", "file"))

    # -------------------------------------------------------------------------------------------------------- windows
    def prepare(self, row: Row) -> Prepared:
        """The whole waveform at the set's sample rate."""
        from ssl_platform_audio.prepare import prepare

        return prepare(row, self.options)

    def prepare_key(self) -> Mapping[str, Any]:
        """Options that change what is stored; those of the mel bins do not."""
        stored = ("sample_rate", "mixdown", "hop_ms", "frame_ms")
        return {"options": self.options.model_dump(mode="json", include=set(stored)), "version": _TRANSFORM_VERSION}

    def packed_bytes(self, row: Row) -> int | None:
        """Two bytes a sample."""
        return 2 * items.spectrum_of(row, self.options).samples(row.shape[1])

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """The samples that the window's frames look at, `[1, samples]` int16, with the geometry of the frames.

        Raises:
            DataError: the window does not take all bins.
        """
        from ssl_platform.data.window import read_window

        mels, frames = window.size
        if window.start[0] != 0 or mels != row.shape[0]:
            raise DataError(f"data.window=[{mels}, {frames}]: a window takes all data.mels={row.shape[0]} bins")
        if self.cache is None:
            raise DataError("domain 'audio' was not given a cache: pass one")
        spectrum = items.spectrum_of(row, self.options)
        start = window.start[1] * spectrum.hop - spectrum.margin
        samples = Window((start,), (spectrum.samples(frames),))
        part = read_window(self.cache.open(row, self), row, samples, _WAVEFORM)
        origin = (0.0, window.start[1] * spectrum.spacing[1])
        return {"main": Part(part.data, part.valid, row.channels, row.spacing, origin)}

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """A window that favours sound: see `data.foreground` and `data.foreground_fraction`."""
        from ssl_platform.data.window import place_foreground

        fits = len(row.shape) == len(size) and row.shape[-1] <= size[-1]
        wanted = self.cache is not None and self.options.foreground == "auto" and not fits
        cells = self.cache.open(row, self).foreground if wanted and self.cache is not None else None
        return place_foreground(cells, row, size, uniforms, self.options.foreground_fraction)

    def label_box(self, row: Row, box: Box) -> Box:
        """Seconds to frames, of all bins; what is left of the last hop counts to the last frame."""
        bins, (start, end) = super().label_box(row, box)
        frames = row.shape[1]
        return bins, (start, min(end, float(frames)) if end < frames + 1 else end)

    def related(
        self, row: Row, reads: Reads, size: Sequence[int], uniforms: np.ndarray
    ) -> Sequence[tuple[Row, Window]]:
        """Besides `same` and `overlap`: `time`, windows from other moments of the recording."""
        if reads.relation != "time" or reads.count == 1:
            return super().related(row, reads, size, uniforms)
        from ssl_platform_audio.related import apart

        first = self.place(row, size, uniforms[0])
        return [(row, first), *((row, apart(row, first, reads.gap, u)) for u in uniforms[1:])]

    # ------------------------------------------------------------------------------------------------ views and reports
    def views(self) -> Sequence[Operation]:
        """The spectrogram, other sound, noise, microphones, gain and SpecAugment."""
        from ssl_platform_audio.views import operations

        return operations(self.options)

    def checks(self, row: Row, facts: Mapping[str, float]) -> str | None:
        """What is odd about the values: channels that cancel, peaks above full scale, an offset, silence."""
        from ssl_platform_audio.levels import odd

        return odd(facts)

    def unlike(self, facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        """Items much quieter or louder than their set."""
        from ssl_platform_audio.levels import unlike_set

        return unlike_set(facts)

    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """The spectrogram in colours, low frequencies at the bottom."""
        from ssl_platform_audio.render import render

        return render(x)

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """144 labelled recordings of calls that rise, fall, arch or dip, in several formats; written once."""
        from ssl_platform_audio.sample import write_sample_set

        return write_sample_set(folder, seed)
