"""Object discovery: a box around the object of each window, from what a frozen encoder's tokens have in common.

LOST (Simeoni et al., 2021) and TokenCut (Wang et al., 2022) on the keys of the last block, on grids of any rank. Where
there are masks, CorLoc is the share of windows with an object whose box overlaps one of an object by at least half,
beside the middle half of the window as a guess. Without masks the boxes are what there is, and how far both agree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_platform.data.progress import Bar
from ssl_platform.data.sequential import Sequential
from ssl_platform.domain import Domain
from ssl_platform.encoder import Encoder
from ssl_platform.errors import ConfigError, RunFailed
from ssl_platform.measures.partition import Cut, lost, token_cut
from ssl_platform.transfer.boxes import box_of, centre_box, component, object_boxes, overlap
from ssl_platform.transfer.dense_evaluation import foreground
from ssl_platform.transfer.dense_labels import carry_labels
from ssl_platform.transfer.features import covering
from ssl_platform.transfer.masks import UNKNOWN, MaskedDomain, mask_paths
from ssl_platform.transfer.opening import Opened, device_of
from ssl_platform.transfer.protocols.answer import Answer, Budget, Function, mean_of_column
from ssl_platform.types import Batch, View

KEYS = "block.-1.k"
METHODS = ("lost", "tokencut")
CORRECT = 0.5  # overlap
_BATCH = 8
CANDIDATES = 100  # of LOST's seed, as published for 28 x 28 tokens; of fewer tokens an eighth


def object_discovery(opened: Opened, encoder: Encoder, entries: np.ndarray, budget: Budget) -> Answer:
    """A row for every window that covers the items of these entries.

    Args:
        opened: the data; items that cannot be read are added to `opened.unread`.
        encoder: is moved to the device.
        entries: of the facts.
        budget: nothing is drawn and nothing trained.

    Raises:
        ConfigError: the encoder's tokens do not lie on a grid.
        RunFailed: no item could be read.
    """
    data, facts = opened.data, opened.data.facts
    windows = Covering(opened, np.unique(facts.row[entries]))
    encoder.to(device_of(opened.config))
    groups = {int(facts.row[e]): facts.group[e] for e in entries.tolist()}
    names, found, boxes = [], [], []
    with Bar("object discovery", sys.stderr) as bar:
        done = 0
        for batch, view, classes in windows:
            size = tuple(view.x.shape[2:])
            for i, drawn in enumerate(window_boxes(encoder, view)):
                if not drawn:
                    continue
                row = int(batch.index[i])
                true = None if classes is None else object_boxes(classes[i], windows.objects)
                found.append(_figures(drawn, true, size))
                names.append((data.catalog.row(row).id, groups[row]))
                boxes.append({"id": names[-1][0], **{m: _in_source(view, i, box) for m, box in drawn.items()}})
            done += len(batch)
            bar(done, windows.batches.total)
    opened.unread |= {failure.failed: failure.reason for failure in windows.batches.failures}
    if not found:
        why = next(iter(opened.unread.values()), "there are none")
        raise RunFailed(f"object discovery: no item could be looked at: {why}")
    columns = tuple(found[0])
    return Answer(
        np.zeros(len(found)),
        np.array([list(figures.values()) for figures in found]),
        [group for _, group in names],
        [name for name, _ in names],
        {"features": "keys" if "taps" in encoder.model.offers else "tokens", "windows": len(found)},
        _functions(columns),
        columns,
        files={"boxes": {"unit": data.domain.layout.unit, "edges": "first, last", "windows": boxes}},
    )


class Covering:
    """The windows that cover some items, each with the classes of its cells where there are masks.

    Args:
        opened: the data.
        rows: catalog rows, ascending.

    Attributes:
        objects: the classes that are objects; none without masks.
        batches: the windows as they are read.
    """

    def __init__(self, opened: Opened, rows: np.ndarray) -> None:
        data, layout = opened.data, opened.data.facts.layout
        domain: Domain = data.domain
        self.objects: tuple[int, ...] = ()
        self._maker, self._masked = opened.maker, layout is not None and layout.kind == "segmentation"
        if layout is not None and self._masked:
            paths = mask_paths(data.facts, data.catalog.column("id"))
            domain = MaskedDomain(domain, paths, layout.values, opened.config.labels.resample is not None)
            self.objects = tuple(foreground(layout.classes, layout.values))
        windows = covering(data.catalog, data.domain, rows, opened.window)
        self.batches = Sequential(
            data.catalog, domain, window=opened.window, batch_size=_BATCH, windows=windows, rows=rows
        )

    def __iter__(self) -> Iterator[tuple[Batch, View, np.ndarray | None]]:
        """Batches, their clean views, and `[B, *size]` classes of the views' cells."""
        for batch in self.batches:
            view = self._maker.clean(batch)
            classes = None
            if self._masked:
                assert view.geometry is not None
                mask, size = batch.reads[0]["mask"], tuple(view.x.shape[2:])
                classes = carry_labels(mask, view.geometry, size, UNKNOWN).cpu().numpy()
            yield batch, view, classes


@torch.inference_mode()
def window_boxes(encoder: Encoder, view: View) -> list[dict[str, np.ndarray]]:
    """The box of each method in each window, `[2, S]` in cells of the view; none of a window without valid tokens.

    Raises:
        ConfigError: the encoder's tokens do not lie on a grid.
    """
    taps = (KEYS,) if "taps" in encoder.model.offers else ()
    features = encoder(view, taps)
    if features.tokens is None or features.grid is None or len(features.grid) != view.x.ndim - 2:
        raise ConfigError("--protocol object-discovery: needs an encoder whose tokens lie on a grid, one a place")
    tokens = features.taps[KEYS][:, features.prefix.shape[1] :] if taps else features.tokens
    size = tuple(view.x.shape[2:])
    patch = tuple(encoder.record.backbone.patch)
    fits = tuple(-(-n // p) for n, p in zip(size, patch, strict=True)) == features.grid
    cell = patch if fits else tuple(-(-n // g) for n, g in zip(size, features.grid, strict=True))
    found = []
    for i, own in enumerate(tokens.float().cpu()):
        valid = torch.ones(len(own), dtype=torch.bool) if features.valid is None else features.valid[i].cpu()
        cuts = _cuts(own[valid]) if bool(valid.any()) else {}
        found.append({method: _box(cut, valid, features.grid, cell, size) for method, cut in cuts.items()})
    return found


def _cuts(tokens: Tensor) -> dict[str, Cut]:
    return {"lost": lost(tokens, min(CANDIDATES, max(1, len(tokens) // 8))), "tokencut": token_cut(tokens)}


def _box(cut: Cut, valid: Tensor, grid: tuple[int, ...], cell: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """The box around the part of a cut that is joined to its seed; only valid tokens were cut."""
    inside = torch.zeros(len(valid), dtype=torch.bool)
    inside[valid] = cut.inside
    seed = int(valid.nonzero()[cut.seed])
    return box_of(component(inside.view(grid).numpy(), seed), cell, size)


def _figures(drawn: dict[str, np.ndarray], true: list[np.ndarray] | None, size: tuple[int, ...]) -> dict[str, float]:
    """`iou_METHOD` with the object it suits best (nan without one), `area_METHOD`, and the overlap of both."""
    found = {}
    if true is not None:
        for name, box in {**drawn, "centre": centre_box(size)}.items():
            found[f"iou_{name}"] = max((overlap(box, other) for other in true), default=float("nan"))
    whole = float(np.prod(size))
    areas = {f"area_{name}": float(np.prod(box[1] - box[0])) / whole for name, box in drawn.items()}
    return {**found, "agreement": overlap(*drawn.values()), **areas}


def _functions(columns: Sequence[str]) -> dict[str, Function]:
    """CorLoc and mean overlap of each method where there are masks; how far both agree."""
    ious = [name for name in columns if name.startswith("iou_")]
    share = {f"corloc_{n.removeprefix('iou_')}": _corloc(columns.index(n)) for n in ious}
    return share | {name: mean_of_column(columns.index(name)) for name in (*ious, "agreement")}


def _corloc(column: int) -> Function:
    def share(_: np.ndarray, score: np.ndarray) -> float:
        known = score[~np.isnan(score[:, column]), column]
        return float((known >= CORRECT).mean()) if len(known) else float("nan")

    return share


def _in_source(view: View, i: int, box: np.ndarray) -> list[Any]:
    """First and last edges of a box, in the layout's unit from the item's first cell edge."""
    assert view.geometry is not None
    places = torch.from_numpy(box / np.asarray(view.x.shape[2:])).float()
    found = view.geometry.to_source(places.expand(len(view), -1, -1).to(view.geometry.matrix))[i]
    return [[round(float(value), 4) for value in edge] for edge in found.cpu()]
