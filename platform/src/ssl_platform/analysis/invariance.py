"""What drawn changes of views do to the output: how much of it they leave, and whether it tells what they were."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.analysis.transformed import Transformed, redrawn
from ssl_platform.measures import concordance, firing_invariance
from ssl_platform.types import View

COPIES = 2  # with the clean view the three looks that firing rates need
TOP = (10, 25)
FEWEST = 8  # items, below which nothing is fitted
_FOLDS, _INNER = 4, 3
_PENALTIES = np.logspace(0, 5, 6)


def unfit(subject: Subject) -> str | None:
    """Why there is nothing to change."""
    return None if subject.changes else "no operation or symmetry of the domain changes this data"


def vary(subject: Subject) -> list[Reading]:
    """Four numbers a transformation.

    `invariance` is the concordance of clean and changed output, `firing_top10` and `firing_top25` the local firing
    rates of the most invariant units (`COPIES` changed views and the clean one are a set), and `told` the share of
    variance of what was drawn that a ridge regression tells from the change of the output, on items left out.
    """
    rows = subject.transformed_rows()
    makers = {name: Transformed(subject.opened, name) for name in subject.changes}
    clean: list[Tensor] = []
    changed: dict[str, list[Tensor]] = {name: [] for name in makers}
    drawn: dict[str, list[Tensor]] = {name: [] for name in makers}
    read: list[np.ndarray] = []
    for batch, view in subject.views(rows, "changed views"):
        read.append(batch.index.cpu().numpy())
        clean.append(subject.encoder(view).pooled.float().cpu())
        for name, maker in makers.items():
            views = [maker.clean(redrawn(batch, copy)) for copy in range(COPIES)]
            changed[name].append(torch.stack([subject.encoder(v).pooled.float().cpu() for v in views], 1))
            drawn[name].append(torch.stack([parameters(v, name) for v in views], 1))
    still, kinds = torch.cat(clean), subject.classes(np.concatenate(read))
    classes = None if kinds is None else torch.from_numpy(kinds)
    found = []
    for name in makers:
        looks, params = torch.cat(changed[name]), torch.cat(drawn[name])  # [n, COPIES, D], [n, COPIES, k]
        repeated = still[:, None].expand_as(looks).flatten(0, 1)
        found.append(
            Reading.of("invariance", "transformation", name, float(concordance(repeated, looks.flatten(0, 1))))
        )
        rates = firing_invariance(torch.cat([still[:, None], looks], 1), classes, top=TOP)
        found += [
            Reading.of(f"firing_top{k}", "transformation", name, float(rate))
            for k, rate in zip(TOP, rates, strict=True)
        ]
        found.append(Reading.of("told", "transformation", name, told(looks - still[:, None], params)))
    return found


def parameters(view: View, name: str) -> Tensor:
    """`[B, k]` what was drawn for a change."""
    found = [value.float().flatten(1).cpu() for key, value in sorted(view.params.items()) if _belongs(key, name)]
    return torch.cat(found, 1) if found else torch.zeros(len(view), 0)


def _belongs(key: str, name: str) -> bool:
    own = {"scale": ("crop.centre",), "rotate": ("crop.angle",), "cutout": ("cutout.", "points.dropout")}
    return key.startswith(own.get(name, (f"{name}.",)))


def told(change: Tensor, params: Tensor) -> float:
    """Mean coefficient of determination, over what varies, of drawn parameters told from changes of the output.

    Args:
        change: `[n, copies, D]` changed less clean output.
        params: `[n, copies, k]`.

    Returns:
        At most 1; 0 is no better than the mean; nan where nothing varies or items are fewer than `FEWEST`.
    """
    n, copies, _ = change.shape
    y = params.flatten(0, 1).double().numpy()
    y = y[:, y.std(axis=0) > 1e-6]
    if n < FEWEST or not y.shape[1]:
        return float("nan")
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    model = make_pipeline(StandardScaler(), Ridge())
    search = GridSearchCV(model, {"ridge__alpha": _PENALTIES}, cv=GroupKFold(_INNER))
    item = np.repeat(np.arange(n), copies)
    x, guess = change.flatten(0, 1).double().numpy(), np.empty_like(y)
    for known, asked in GroupKFold(_FOLDS).split(x, y, item):
        found = search.fit(x[known], y[known], groups=item[known])
        guess[asked] = found.predict(x[asked]).reshape(len(asked), -1)
    return float(1 - ((y - guess) ** 2).sum() / (y**2).sum())
