"""Looks at a run from time to time: embeds the same clean windows and measures them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ssl_platform.data.collate import to_device
from ssl_platform.measures import alignment, dimension_std, effective_rank, entropy, knn_vote, uniformity
from ssl_platform.nn.backbone import Backbone
from ssl_platform.train.health import Look
from ssl_platform.types import Batch, View, Views

AUGMENTED_POSITIONS = (1 << 40, 1 << 41)
"""Positions no run reaches: the two views that alignment compares are drawn there, the same ones at every look."""
ALIGNED_ITEMS = 64
FEWEST_OUTPUTS = 8


@dataclass(frozen=True)
class Labelled:
    """Labels the monitor may see: of training and validation rows only.

    Attributes:
        target: `[n]` int64 classes or float values, by position of the window in the pass (-1 or nan: unknown).
        query: `[n]` bool, rows of the validation split; when there are too few, every row is asked leaving itself out.
        group: `[n]` int64; neighbours of the asked row's own group do not vote.
    """

    target: Tensor
    query: Tensor
    group: Tensor


class Monitor:
    """Measures embeddings of fixed windows.

    Args:
        batches: yields the same batches at every call, on any device.
        clean: batch to its clean view.
        augmented: batch to the plan's views, or None to leave alignment out.
        labelled: labels of those windows by `Batch.position`, or None.
        device: where the model is.
        autocast: precision the model computes in.
        limit: windows that rank and uniformity look at.
    """

    def __init__(
        self,
        batches: Callable[[], Iterable[Batch]],
        clean: Callable[[Batch], View],
        augmented: Callable[[Batch], Views] | None = None,
        labelled: Labelled | None = None,
        *,
        device: torch.device | None = None,
        autocast: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
        limit: int = 512,
    ) -> None:
        self.batches, self.clean, self.augmented, self.labelled = batches, clean, augmented, labelled
        self.device, self.autocast, self.limit = device or torch.device("cpu"), autocast, limit

    @torch.no_grad()
    def look(
        self,
        encoder: Backbone,
        *,
        step: int,
        seconds: float,
        losses: tuple[float | None, float | None, float | None] = (None, None, None),
        watch: dict[str, Tensor] | None = None,
    ) -> Look:
        """Measure `encoder` now.

        Args:
            encoder: what would be exported.
            step: steps done.
            seconds: of training.
            losses: recent mean loss, the one before, and that of the first steps.
            watch: of the last training step; `teacher_probs` is read.
        """
        with evaluating(encoder), self.autocast():
            z, places, first, second = self._embed(encoder)
        few = z[: self.limit]
        finite = bool(few.isfinite().all())
        teacher = (watch or {}).get("teacher_probs")
        sharp, used = teacher_entropies(teacher) if teacher is not None else (None, None)
        return Look(
            step=step,
            seconds=seconds,
            effective_rank=float(effective_rank(few, centre=True)) if finite else 1.0,
            spread=spread(few) if finite else 0.0,
            alignment=float(alignment(first, second)) if finite and first is not None and second is not None else None,
            uniformity=float(uniformity(few)) if finite and len(few) > 1 else None,
            teacher_entropy=sharp,
            teacher_usage=used,
            loss=losses[0],
            loss_before=losses[1],
            loss_first=losses[2],
            knn=self._knn(z, places) if finite else None,
        )

    def _embed(self, encoder: Backbone) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Embeddings, their positions in the pass, and two augmented looks at the first of them."""
        found, places, pairs = [], [], []
        seen = 0
        for batch in self.batches():
            moved = to_device(batch, self.device)
            found.append(encoder(self.clean(moved)).pooled.float())
            places.append(batch.position)
            if self.augmented is not None and seen < ALIGNED_ITEMS:
                views = [self.augmented(replace(moved, position=moved.index + p))[0] for p in AUGMENTED_POSITIONS]
                pairs.append([encoder(view).pooled.float() for view in views])
            seen += len(batch)
        first, second = (torch.cat([p[side] for p in pairs]) if pairs else None for side in (0, 1))
        return torch.cat(found), torch.cat(places).cpu(), first, second

    def _knn(self, z: Tensor, places: Tensor) -> float | None:
        if self.labelled is None:
            return None
        known = self.labelled
        return knn_score(z, Labelled(known.target[places], known.query[places], known.group[places]))


def spread(z: Tensor) -> float:
    """Root mean square distance of unit embeddings from their mean, in `[0, 1]`; 0 when all are alike."""
    return math.sqrt(float(dimension_std(z).square().sum()))


def teacher_entropies(probs: Tensor) -> tuple[float, float | None]:
    """Mean entropy of the rows of `[B, K]` over `ln K`, and entropy of the mean row over that of B decided rows.

    The second is at most `ln min(B, K)` where rows are decided, however many prototypes there are; it is None for fewer
    than `FEWEST_OUTPUTS` rows, which may well be of one kind.
    """
    rows, outputs = probs.shape
    sharp = float(entropy(probs).mean()) / math.log(max(2, outputs))
    if rows < FEWEST_OUTPUTS:
        return sharp, None
    used = float(entropy(probs.float().mean(dim=0))) / math.log(max(2, min(rows, outputs)))
    return sharp, min(1.0, used)


def knn_score(z: Tensor, labelled: Labelled, k: int = 20) -> float | None:
    """Balanced accuracy (classes) or correlation (values) of a weighted nearest-neighbour vote on centred embeddings.

    Args:
        z: `[n, D]` embeddings.
        labelled: their labels; validation rows ask the training rows where there are at least ten of them, else every
            known row asks all rows outside its group.
        k: neighbours, at most a quarter of the bank.

    Returns:
        None when fewer than four rows are known.
    """
    target, query, group = (t.to(z.device) for t in (labelled.target, labelled.query, labelled.group))
    classes = not target.is_floating_point()
    known = target >= 0 if classes else ~target.isnan()
    if int(known.sum()) < 4:
        return None
    count = int(target.max()) + 1 if classes else None
    asked, bank = known & query, known & ~query
    if int(asked.sum()) >= 10 and int(bank.sum()) >= 4:
        k = max(1, min(k, int(bank.sum()) // 4))
        middle = z[bank].mean(dim=0)
        votes = knn_vote(z[asked] - middle, z[bank] - middle, target[bank], k=k, classes=count)
        truth = target[asked]
    else:
        k = max(1, min(k, int(known.sum()) // 4))
        middle = z[known] - z[known].mean(dim=0)
        votes = knn_vote(middle, middle, target[known], k=k, classes=count, leave_one_out=True, groups=group[known])
        truth = target[known]
    fine = ~votes.isnan().any(dim=1)
    votes, truth = votes[fine], truth[fine]
    if not len(truth):
        return None
    if not classes:
        return float(torch.corrcoef(torch.stack([votes[:, 0], truth.to(votes.dtype)]))[0, 1].nan_to_num(0.0))
    hit = (votes.argmax(dim=1) == truth).float()
    return float(torch.stack([hit[truth == c].mean() for c in truth.unique()]).mean())


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; every submodule's own mode afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode
