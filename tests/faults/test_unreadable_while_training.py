"""In sets too large to read before the start, an item that turns out to be damaged costs only itself."""

from __future__ import annotations

import csv
import itertools
import json
import signal
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ssl_platform.cli.main import main
from ssl_platform.data.cache import Cache
from ssl_platform.data.loader import Loader
from ssl_platform.data.scan import scan
from ssl_platform.errors import RunFailed
from ssl_platform.plan import Plan
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.train.progress import Lines

Capture = pytest.CaptureFixture[str]
STEPS = 9
SETTINGS = [
    f"trainer.max_steps={STEPS}",
    "trainer.checkpoint_every=2",
    "data.batch_size=4",
    "data.workers=0",
    "data.window=[16,16,16]",
    "data.max_bad_fraction=0.2",
    "backbone.depth=1",
    "backbone.dim=32",
    "backbone.heads=2",
    "health.items=16",
    "health.every=5",
    "scale=tiny",
]


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve volumes that count as a large set; two are cut off behind their headers."""
    monkeypatch.setattr("ssl_platform.data.content.FEW_ITEMS", 4)
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(12):
        values = np.random.default_rng(i).integers(0, 1000, (24, 24, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"v{i:02d}.nii.gz")
    for i in (3, 7):
        whole = (folder / f"v{i:02d}.nii.gz").read_bytes()
        (folder / f"v{i:02d}.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def listed(run: Path) -> list[str]:
    with (run / "quarantine.csv").open(encoding="utf-8") as file:
        return sorted(Path(row["path"]).name for row in csv.DictReader(file))


def test_the_run_goes_on_lists_and_counts_them_and_says_each_once(
    large: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cache = tmp_path / "run", f"cache.dir={tmp_path / 'cache'}"
    words = ["pretrain", "--domain", "medical3d", "--data", str(large), "--run", str(run), cache, *SETTINGS]
    step = Lines.step

    def interrupt(self: Any, done: int, loss: float, pace: Any) -> None:
        step(self, done, loss, pace)
        if done == 6:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Lines, "step", interrupt)
        assert main(words) == 143
    said = capsys.readouterr().out
    assert "content: only headers were read (12 items" in said
    for item in ("v03.nii.gz", "v07.nii.gz"):
        assert said.count(f"unreadable, other items take its place: {item}: truncated") == 1
    assert listed(run) == ["v03.nii.gz", "v07.nii.gz"]
    assert json.loads((run / "result.json").read_text(encoding="utf-8"))["quarantined"] == 2

    assert main(["pretrain", "--resume", "--run", str(run)]) == 0
    assert "unreadable" not in capsys.readouterr().out, "known since before"
    assert listed(run) == ["v03.nii.gz", "v07.nii.gz"]
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert result["quarantined"] == 2 and result["steps"] == STEPS and result["status"] == "done"


def test_beyond_some_number_they_are_only_listed(
    large: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_platform.train.products.SAID", 1)
    run = tmp_path / "run"
    words = ["pretrain", "--domain", "medical3d", "--data", str(large), "--run", str(run)]
    assert main([*words, f"cache.dir={tmp_path / 'cache'}", *SETTINGS]) == 0
    said = capsys.readouterr().out
    assert said.count("unreadable, other items take its place") == 1
    assert said.count("further unreadable items are only listed") == 1
    assert listed(run) == ["v03.nii.gz", "v07.nii.gz"]
    assert (run / "events.log").read_text(encoding="utf-8").count("unreadable, other items take its place") == 2


def toys(tmp_path: Path, count: int, bad: int) -> Loader:
    """A loader of a set in which some files are gone, one position a batch."""
    (tmp_path / "set").mkdir()
    for i in range(count):
        np.save(tmp_path / f"set/{i:03d}.npy", np.full((4, 4, 4), i, np.float32))
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    catalog = scan([tmp_path / "set"], domain, folder=tmp_path / "cache").catalog
    for i in range(bad):
        (tmp_path / f"set/{i:03d}.npy").unlink()
    return Loader(catalog, domain, Plan.single(), window=(4, 4, 4), batch_size=8, seed=1)


def test_what_takes_their_place_is_spread_evenly(tmp_path: Path) -> None:
    loader = toys(tmp_path, count=12, bad=1)
    loader._limit = 0.2
    rounds = 200
    index = np.concatenate([batch.index.numpy() for batch in itertools.islice(loader, rounds * 12 // 8)])
    seen = np.bincount(index, minlength=12)
    extra = seen[1:] - rounds
    assert seen[0] == 0 and (extra >= 0).all() and extra.sum() == rounds
    expected = rounds / 11
    assert ((extra - expected) ** 2 / expected).sum() < 29.6, "chi-square with 10 degrees of freedom, p = 0.001"


def test_an_unlucky_stretch_does_not_end_a_run(tmp_path: Path) -> None:
    """4 % of the items are bad where 5 % are allowed: over many short stretches none is taken for too many."""
    loader = toys(tmp_path, count=100, bad=4)
    rng = np.random.default_rng(0)
    for _ in range(200):
        loader._read = loader._failed = 0
        for _ in range(100):
            loader._note(loader.substitutes[:0] if rng.random(8).min() > 0.04 else [_failed()])


def _failed() -> Any:
    from ssl_platform.data.reader import Substitute

    return Substitute(0, "000.npy", "gone", 5)


def test_clearly_too_many_end_it(tmp_path: Path) -> None:
    loader = toys(tmp_path, count=20, bad=5)
    with pytest.raises(RunFailed, match=r"reads failed, more than data\.max_bad_fraction=0\.15"):
        list(itertools.islice(loader, 100))
