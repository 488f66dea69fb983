"""The test split is read for no choice, by any protocol that is installed.

Test items are replaced by noise and their labels dealt out anew: what was chosen stays equal to the bit. Half of them
are replaced: what is said about the other half stays equal to the bit. A protocol that is added is held to both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform import api
from ssl_platform.plugins import ProtocolDeclaration, registry
from ssl_platform.transfer.protocols.answer import Answer, Budget
from ssl_platform.transfer.protocols.splits import Labelled, Splits
from ssl_platform.transfer.task import Task

Write = Callable[..., Path]

BUDGET = Budget(
    seed=3,
    steps=10,
    ways=3,
    shots=2,
    queries=4,
    episodes=10,
    draws=(0,),
    fractions=(0.2,),
    counts=(9, 20),
    heads=2,
    threshold=0.5,
)
MEETS_TEST_ITEMS = {"retrieval": "test items are searched too, as in every benchmark of it; nothing is chosen"}
ON_FEATURES = [
    pytest.param(declared, kind, id=f"{declared.name}-{kind}")
    for declared in registry().protocols()
    for kind in declared.tasks
    if declared.features != "encoder"
]
ON_ENCODERS = [declared for declared in registry().protocols() if declared.features == "encoder"]


def task_of(kind: str) -> Task:
    return Task(kind) if kind == "regression" else Task(kind, ("a", "b", "c"))  # type: ignore[arg-type]


def items(form: str, kind: str, count: int, seed: int) -> Labelled:
    """Items of three classes that overlap, in one of the forms protocols ask for."""
    draw = torch.Generator().manual_seed(seed)
    target = torch.arange(count) % 3
    shape = {"item": (6,), "layers": (18,)}.get(form, (5, 6))
    features = 1.2 * torch.randn(count, *shape, generator=draw)
    features[..., :3] += torch.eye(3)[target].view(count, *[1] * (len(shape) - 1), 3)
    if kind == "regression":
        target = target + 0.5 * torch.randn(count, generator=draw)
    elif kind == "multi-label":
        target = (torch.rand(count, 3, generator=draw) < 0.2 + 0.5 * torch.eye(3)[target]).float()
    names = [f"{seed}-{i}" for i in range(count)]
    return Labelled(features, target, names, names)


def splits(form: str, kind: str) -> Splits:
    parts = {"pooled": slice(0, 6), "block.0/mean": slice(6, 12), "block.1/mean": slice(12, 18)}
    sets = (items(form, kind, count, seed) for seed, count in enumerate((45, 24, 30)))
    return Splits(*sets, parts=parts if form == "layers" else {})


def scrambled(part: Labelled, rows: torch.Tensor) -> Labelled:
    """The items with noise for features in these rows, and their labels dealt out anew among them."""
    features, target = part.features.clone(), part.target.clone()
    draw = torch.Generator().manual_seed(99)
    features[rows] = 50 * torch.randn(features[rows].shape, generator=draw)
    target[rows] = target[rows[torch.randperm(len(rows), generator=draw)]]
    return Labelled(features, target, part.groups, part.ids)


def answer(declared: ProtocolDeclaration, kind: str, rows: torch.Tensor) -> Answer:
    made = splits(declared.features, kind)
    made._test = scrambled(made._test, rows)
    known = registry()  # another test may have had the plugins loaded anew since the declarations were listed
    found: Answer = known.load(known.protocol(declared.name))(made, task_of(kind), BUDGET)
    return found


@pytest.mark.parametrize(("declared", "kind"), ON_FEATURES)
def test_what_is_chosen_stays_equal_to_the_bit(declared: ProtocolDeclaration, kind: str) -> None:
    plain, noise = (answer(declared, kind, torch.arange(count)) for count in (0, 30))
    assert json.dumps(plain.details, sort_keys=True) == json.dumps(noise.details, sort_keys=True)
    assert plain.score.shape == noise.score.shape and not np.array_equal(plain.score, noise.score, equal_nan=True)


@pytest.mark.parametrize(("declared", "kind"), ON_FEATURES)
def test_what_is_said_of_an_item_does_not_depend_on_other_test_items(declared: ProtocolDeclaration, kind: str) -> None:
    if declared.name in MEETS_TEST_ITEMS:
        pytest.skip(MEETS_TEST_ITEMS[declared.name])
    plain, half = (answer(declared, kind, torch.arange(count)) for count in (0, 15))
    if plain.over != "groups":
        pytest.skip("its rows are repeats, not test items: the details say what was fitted")
    # Rows of a matrix product may differ in the last bit with the number of rows, which is the same here.
    assert np.array_equal(plain.score[15:], half.score[15:]) and not np.array_equal(plain.score[:15], half.score[:15])


@pytest.mark.parametrize("form", ["item", "layers"])
def test_a_protocol_that_looks_is_caught(form: str) -> None:
    """The check would fail a protocol that chooses on the test items."""
    made, noise = splits(form, "classification"), splits(form, "classification")
    noise._test = scrambled(noise._test, torch.arange(30))
    looked = [int(one.open().features.mean(0).argmax()) for one in (made, noise)]
    assert looked[0] != looked[1]


@pytest.mark.parametrize("declared", ON_ENCODERS, ids=lambda declared: declared.name)
def test_protocols_on_encoders_choose_nothing_by_the_labels_they_are_scored_with(
    declared: ProtocolDeclaration, toy_encoder: Write, toy_masks: Path, tmp_path: Path
) -> None:
    if declared.name == "label-propagation":
        plain, noise = (propagated(tmp_path / name, name == "noise") for name in ("plain", "noise"))
    else:
        encoder = toy_encoder()
        run: dict[str, Any] = {"encoder": encoder, "protocol": declared.name, "task": "segmentation"}
        plain = api.probe(**run, manifest=toy_masks, run=tmp_path / "plain")
        for path in toy_masks.parent.glob("ball*.npy"):
            np.save(path, np.roll(np.load(path), 5, axis=(0, 1, 2)))
        noise = api.probe(**run, manifest=toy_masks, run=tmp_path / "noise")
        for path in (tmp_path / "plain").glob(f"*_{declared.name}.json"):
            assert path.read_bytes() == (tmp_path / "noise" / path.name).read_bytes()
    assert plain["details"] == noise["details"] and plain["metrics"] != noise["metrics"]


def propagated(folder: Path, scramble: bool) -> dict[str, Any]:
    """Label propagation through one video; all marks but those of its first frame may be turned upside down."""
    from PIL import Image

    from ssl_platform_video.objects import write_objects

    manifest = write_objects(folder / "set", items=2)
    head, first, *_ = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text(f"{head},split\n{first},test\n", encoding="utf-8")
    for path in sorted((folder / "set" / "marks" / "object00").glob("*.png"))[1:] if scramble else ():
        with Image.open(path) as picture:
            turned = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        turned.save(path)
    small = {"backbone.depth": 1, "backbone.dim": 24, "backbone.heads": 2, "backbone.patch": [2, 8, 8]}
    keys = {**small, "data.window": [2, 64, 64], "data.short_side": 64, "probe.frame_size": 64}
    return api.probe(
        encoder="random",
        domain="video",
        manifest=manifest,
        task="label-propagation",
        run=folder / "run",
        overrides=keys,
    )
