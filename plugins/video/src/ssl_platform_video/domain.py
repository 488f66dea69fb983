"""Videos: files of any container, and folders of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ssl_platform.data.shards.packing import Packed
from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.errors import Unreadable
from ssl_platform.plan import Reads
from ssl_platform.types import Channel, Layout, Part, Row, Window
from ssl_platform_video import clips, find, items
from ssl_platform_video.options import VideoOptions

if TYPE_CHECKING:
    from ssl_platform.data.prepared import Prepared
    from ssl_platform.data.shards.about import Form
    from ssl_platform.data.shards.held import Located
    from ssl_platform.views.operation import Operation

# Scenes may be mirrored and framed closer; up and down, and the way time runs, have a meaning.
SYMMETRIES = ("flip:W", "scale:HW", "gain", "offset", "gamma", "blur:HW", "noise", "cutout")
MOVES = ("flip:T", "rot90:HW", "flip:H", "shuffle")
RELATIONS = ("same", "overlap", "time", "speed")
_TRANSFORM_VERSION = 1


class Video(Domain):
    """Clips on a grid T, H, W of RGB frames (uint8, 0 to 255), spacing in s along time.

    Frames are taken by time at `data.fps`, whatever the video's own rate, upright, with square pixels, their short side
    scaled to `data.short_side`. Only the frames of a clip are decoded, unless the set is small enough to be decoded
    once into the cache (`data.decoded`).
    """

    name = "video"
    layout: ClassVar[Layout] = Layout(
        axes="C T H W",
        channels=tuple(Channel(name, bounds=(0.0, 255.0)) for name in items.CHANNELS),
        unit="s",
        symmetries=frozenset(SYMMETRIES),
        moves=frozenset(MOVES),
        meta=("fps",),
        relations=RELATIONS,
    )
    suffixes = find.SUFFIXES
    Options: ClassVar[type[DomainOptions]] = VideoOptions
    columns: ClassVar[Mapping[str, type]] = {"frame_rate": float}
    tasks = ("classification", "multi-label", "regression", "retrieval", "fewshot", "label-propagation")
    window = (16, 64, 64)
    patch = (2, 16, 16)
    packed_words = "copies with small frames and many key frames"

    def __new__(cls, options: DomainOptions | None = None) -> Video:
        """A `StoredVideo` where the options say that decoded frames are kept."""
        kept = isinstance(options, VideoOptions) and options.decoded == "stored"
        return super().__new__(StoredVideo if kept and cls is Video else cls)

    # -------------------------------------------------------------------------------------------------------- catalog
    def find(self, root: Path) -> Iterator[Path]:
        """Video files and folders of numbered pictures under `root`."""
        return find.find(root)

    def scan(self, path: Path) -> Iterable[Row]:
        """The row of a file or folder: packets are read, one frame is decoded.

        Raises:
            Unreadable: damaged, no video stream, no frames.
        """
        yield items.row_of(path, self.options)

    def fit(self, row: Row) -> Row:
        """The row at the rate and size of the options."""
        return items.fit(row, self.options)

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        """Rate, size, decoder and whether decoded frames are kept, where they are `auto`."""
        from ssl_platform_video.settle import settle

        return settle(rows, self.options)

    def group(self, row: Row) -> tuple[str | None, str]:
        """The UCF101 group or Kinetics video, or None: each file its own group."""
        return row.group, str(row.meta.get("group_rule", "file"))

    # ---------------------------------------------------------------------------------------------------------- clips
    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """A clip: the frames of the window are decoded, nothing else is kept."""
        from ssl_platform.data.prepared import Prepared
        from ssl_platform.data.window import read_window

        first, last = items.inside(row, window)
        frames = items.read_frames(self.located(row), first, last, self.options.decoder)
        near = replace(window, start=(window.start[0] - first, *window.start[1:]))
        part = read_window(Prepared(frames, row.spacing, row.channels), row, near, self.layout)
        part.origin = (window.start[0] * row.spacing[0], *part.origin[1:])
        return {"main": part}

    def place(self, row: Row, size: Sequence[int], uniforms: np.ndarray) -> Window:
        """Anywhere in the video.

        Raises:
            DataError: frames were scaled to less than the window.
        """
        clips.check_fits(row, size)
        return super().place(row, size, uniforms)

    def cover(self, row: Row, size: Sequence[int], whole: bool = True) -> Sequence[Window]:
        """The clips that cover the video, or with `data.test_views` so many moments and crops of it."""
        if whole and self.options.test_views != "cover":
            moments, crops = self.options.test_views
            return clips.multi_clip_windows(row, size, moments, crops)
        return super().cover(row, size, whole)

    def related(
        self, row: Row, reads: Reads, size: Sequence[int], uniforms: np.ndarray
    ) -> Sequence[tuple[Row, Window]]:
        """Besides `same` and `overlap`: clips at another `time` or another `speed` of the same video."""
        if reads.count > 1 and reads.relation == "time":
            return clips.at_other_times(row, self.place(row, size, uniforms[0]), reads, uniforms)
        if reads.count > 1 and reads.relation == "speed":
            first = self.place(row, size, uniforms[0])
            return clips.at_other_speeds(row, first, self.options.speeds, reads, uniforms)
        return super().related(row, reads, size, uniforms)

    def views(self) -> Sequence[Operation]:
        """Hue, saturation and grey, equal in all frames of a clip."""
        from ssl_platform_video.views import operations

        return operations()

    def read_mask(self, row: Row, path: Path, resample: bool = False) -> np.ndarray:
        """Objects by number in the row's grid, from a folder of mask pictures or a table of points."""
        from ssl_platform_video.annotations import read_mask

        return read_mask(row, path, resample)

    # ---------------------------------------------------------------------------------------------------------- shards
    def packed_form(self, exact: bool = False) -> tuple[Form, bool]:
        """Copies at training size, which are not lossless, or with `exact` the files as they are."""
        return "files", exact

    def packed_bytes(self, row: Row) -> int | None:
        """Unknown: copies are as large as their content asks for."""
        return None

    def pack(self, row: Row, files: Sequence[str], scratch: Path, exact: bool = False) -> Packed:
        """A copy with small frames and many key frames.

        Raises:
            Unreadable: it cannot be decoded to its end, or is a folder of frames, which has no exact form.
        """
        from ssl_platform_video import transcode

        if not exact:
            return transcode.pack(row, scratch, self.options)
        if Path(row.path).is_dir():
            raise Unreadable("a folder of frames is packed as a video only: leave out --exact")
        return Packed(row, files={row.path: Path(row.path)}, moved=False)

    def pack_mask(self, path: Path, draft: Path) -> Path | None:
        """Masks and points as they are: they serve frames of any size and rate."""
        from ssl_platform_video.mask_pictures import ARCHIVE, write_archive

        return write_archive(path, draft.with_suffix(ARCHIVE)) if path.is_dir() else path

    def within(self, located: Located, path: str) -> str:
        """A part of a shard as FFmpeg opens it; nothing is copied."""
        return f"subfile,,start,{located.offset},end,{located.offset + located.length},,:{located.file}"

    # ---------------------------------------------------------------------------------------------- pictures, samples
    def render(self, x: np.ndarray, channels: Sequence[str]) -> np.ndarray:
        """Frames side by side."""
        from ssl_platform_video.render import render

        return render(x)

    def sample_data(self, folder: Path, seed: int = 0) -> Path:
        """128 labelled clips of drifting patterns in several containers; written once."""
        from ssl_platform_video.scenes import write_sample_set

        return write_sample_set(folder, seed)


class StoredVideo(Video):
    """Videos whose frames at `data.fps` and `data.short_side` were decoded once into the cache."""

    def prepare(self, row: Row) -> Prepared:
        """All frames of the row's grid.

        Raises:
            Unreadable: they cannot be decoded, or all pixels of all of them are equal.
        """
        from ssl_platform.data.prepared import Prepared

        frames = items.read_frames(row, 0, row.shape[0], self.options.decoder)
        if frames.min() == frames.max():
            raise Unreadable(f"every pixel of every frame is {frames.min()}: nothing was recorded")
        return Prepared(frames, row.spacing, row.channels)

    def prepare_key(self) -> Mapping[str, Any]:
        """Rate, size and stream are in the row; where clips lie does not change what is stored."""
        return {"version": _TRANSFORM_VERSION}

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        """A clip from the cache; clips at another speed are decoded from the file."""
        usual = self.fit(row)
        if self.cache is None or row.spacing != usual.spacing:
            return super().read(row, window)
        return Domain.read(self, row, window)
