"""What simple methods without a network reach on the same splits: a few statistics an item, and a linear classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from results_data import rows_of
from results_plan import Study

Features = Callable[[str], np.ndarray]


def baselines(study: Study, manifest: str) -> dict[str, dict[str, float]]:
    """Metrics by name of the baseline.

    Args:
        study: a real set.
        manifest: of the set.
    """
    rows = rows_of(manifest)
    if study.task == "segmentation":
        return {"mean of the aligned training masks (one atlas)": atlas(rows)}
    known = {"audio": _SOUND, "multispectral": _SCENES}[study.domain]
    return {name: linear(rows, features) for name, features in known.items()}


def linear(rows: list[dict[str, str]], features: Features) -> dict[str, float]:
    """Logistic regression on standardised statistics; its strength is chosen on the validation items.

    Args:
        rows: `path`, `label` and `split` of every item.
        features: path to `[D]`.
    """
    from sklearn.linear_model import LogisticRegression

    from ssl_platform.transfer.metrics import accuracy, balanced_accuracy, macro_auc, macro_f1

    names = sorted({row["label"] for row in rows})
    found = np.stack([features(row["path"]) for row in rows])
    target = np.array([names.index(row["label"]) for row in rows])
    part = np.array([row["split"] for row in rows])
    train, val, test = (part == name for name in ("train", "val", "test"))
    found = (found - found[train].mean(0)) / (found[train].std(0) + 1e-6)
    best: tuple[float, np.ndarray] = (-1.0, np.empty(0))
    for cost in (1e-3, 1e-2, 0.1, 1.0, 10.0):
        model = LogisticRegression(C=cost, max_iter=2000).fit(found[train], target[train])
        held = accuracy(target[val], model.predict_proba(found[val]))
        if held > best[0]:
            best = (held, model.predict_proba(found[test]))
    score = best[1]
    return {
        "accuracy": accuracy(target[test], score),
        "balanced_accuracy": balanced_accuracy(target[test], score),
        "macro_f1": macro_f1(target[test], score),
        "auc": macro_auc(target[test], score, 1 if len(names) == 2 else None),
    }


def atlas(rows: list[dict[str, str]]) -> dict[str, float]:
    """Dice of the commonest label of each place, volumes stretched to one box.

    The crops are cut around the organ, so that place alone says much.
    """
    import nibabel
    from scipy.ndimage import zoom

    side = 48
    votes = np.zeros((3, side, side, side))
    dices: list[list[float]] = [[], []]

    def mask(row: Mapping[str, str]) -> np.ndarray:
        return np.asarray(nibabel.load(row["mask"]).dataobj).astype(np.uint8)

    for row in (row for row in rows if row["split"] == "train"):
        own = mask(row)
        boxed = zoom(own, [side / n for n in own.shape], order=0)
        for label in range(3):
            votes[label] += boxed == label
    share = votes / votes.sum(0)
    for row in (row for row in rows if row["split"] == "test"):
        own = mask(row)
        grown = np.stack([zoom(one, [n / side for n in own.shape], order=1) for one in share])
        found = grown.argmax(0)
        for label in (1, 2):
            both = (found == label).sum() + (own == label).sum()
            dices[label - 1].append(2 * ((found == label) & (own == label)).sum() / both if both else 1.0)
    return {"dice": float(np.mean([np.mean(one) for one in dices]))}


def _log_mel(path: str) -> np.ndarray:
    """`[64, T]` natural logarithm of mel power, 25 ms every 10 ms."""
    import librosa
    import soundfile

    sound, rate = soundfile.read(path, dtype="float32")
    power = librosa.feature.melspectrogram(y=sound, sr=rate, n_fft=256, win_length=200, hop_length=80, n_mels=64)
    return np.log(power + 1e-10)


def _thirds(path: str) -> np.ndarray:
    """Mean log-mel spectrum of three thirds of a recording, `[192]`."""
    found = _log_mel(path)
    return np.concatenate([part.mean(1) for part in np.array_split(found, 3, axis=1)])


def _levelled(path: str) -> np.ndarray:
    """The same without the recording's own level."""
    found = _thirds(path)
    return found - found.mean()


def _bands(path: str) -> np.ndarray:
    """Mean of every band, `[13]`."""
    return _scene(path).mean((1, 2))


def _bands_spread(path: str) -> np.ndarray:
    """Mean and standard deviation of every band, `[26]`."""
    found = _scene(path)
    return np.concatenate([found.mean((1, 2)), found.std((1, 2))])


def _scene(path: str) -> np.ndarray:
    import rasterio

    with rasterio.open(Path(path)) as file:
        return file.read().astype(np.float64)


_SOUND: Mapping[str, Features] = {
    "mean log-mel spectrum of three thirds + linear": _thirds,
    "the same without each recording's level + linear": _levelled,
}
_SCENES: Mapping[str, Features] = {
    "band means + linear": _bands,
    "band means and standard deviations + linear": _bands_spread,
}
