"""What is wrong with labels, masks or encoders is one line of `finetune` before anything is trained or written."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main

Write = Callable[..., Path]
Refused = Callable[..., None]
Capture = pytest.CaptureFixture[str]
LINES = []
SMALL = ["finetune.steps=1", "finetune.batch_size=2", "finetune.width=2"]


@pytest.fixture
def refused(tmp_path: Path, capsys: Capture) -> Refused:
    """`refused(why, encoder, "--manifest", ...)`: a command ends with 2, one line that says why, and no folder."""

    def run(why: str, encoder: str | Path, *words: str | Path) -> None:
        folder = tmp_path / "run"
        code = main(["finetune", "--encoder", str(encoder), "--run", str(folder), *map(str, words), *SMALL])
        error = capsys.readouterr().err.strip()
        assert (code, folder.exists()) == (2, False), error
        assert error.startswith("error: ") and "Traceback" not in error
        (line,) = error.splitlines()
        assert re.search(why, line), line

    return run


def rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open() as file:
        return list(csv.DictReader(file))


def rewritten(manifest: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Change the rows of a manifest."""
    changed = [change(row) for row in rows(manifest)]
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(changed[0]))
        writer.writeheader()
        writer.writerows(changed)


def test_labels_are_missing(refused: Refused, toy_encoder: Write, toy_data: Path, toy_masks: Path) -> None:
    encoder = toy_encoder()
    refused("no labels found: give --labels", encoder, "--data", toy_data.parent)
    rewritten(toy_masks, lambda row: {**row, "mask": "" if row["split"] == "test" else row["mask"]})
    refused("no labelled test items: label more, or give a split column", encoder, "--manifest", toy_masks)
    rewritten(toy_data, lambda row: {**row, "label": ""})
    refused("no labels found: give --labels", encoder, "--manifest", toy_data)


def test_a_column_is_wrong(refused: Refused, toy_encoder: Write, toy_data: Path) -> None:
    encoder = toy_encoder()
    refused("lable.*label", encoder, "--manifest", toy_data, "labels.label=lable")
    rewritten(toy_data, lambda row: {"file": row["path"], "label": row["label"]})
    wrong = "no column 'path' or 'id': its columns are file, label; name it: labels.path=COLUMN"
    refused(wrong, encoder, "--manifest", toy_data)
    refused(wrong, encoder, "--data", toy_data.parent, "--labels", toy_data)


def test_one_class_only(refused: Refused, toy_encoder: Write, toy_data: Path, toy_masks: Path) -> None:
    encoder = toy_encoder()
    part = {"item0.npy": "val", "item1.npy": "test"}
    rewritten(
        toy_data,
        lambda row: {
            **row,
            "label": "box" if row["path"] == "item0.npy" else "ball",
            "split": part.get(row["path"], "train"),
        },
    )
    refused("all 6 training items are of class 'ball'", encoder, "--manifest", toy_data)
    rewritten(toy_data, lambda row: {**row, "label": "ball"})
    refused(r"one class only \('ball'\): a task needs at least two", encoder, "--manifest", toy_data)
    for row in rows(toy_masks):
        np.save(toy_masks.parent / row["mask"], np.zeros((16, 16, 16), np.uint8))
    refused(r"the masks hold one value only \(0\): a task needs at least two", encoder, "--manifest", toy_masks)


def test_a_class_is_unseen_in_training(refused: Refused, toy_encoder: Write, toy_data: Path, toy_masks: Path) -> None:
    encoder = toy_encoder()
    part = {"item5.npy": "val", "item6.npy": "test", "item7.npy": "test"}
    rewritten(
        toy_data,
        lambda row: {
            **row,
            "label": "cone" if row["path"] == "item7.npy" else row["label"],
            "split": part.get(row["path"], "train"),
        },
    )
    refused(r"class 'cone' is in test \('item7.npy'\) and not in train", encoder, "--manifest", toy_data)
    mask = np.load(toy_masks.parent / "ball8.npy")
    mask[:2] = 3
    np.save(toy_masks.parent / "ball8.npy", mask)
    refused(
        "class '3' is in the mask of the test item 'item8.npy' and in no training mask",
        encoder,
        "--manifest",
        toy_masks,
    )


def test_a_mask_is_of_another_size(
    refused: Refused, toy_encoder: Write, toy_masks: Path, tmp_path: Path, capsys: Capture
) -> None:
    encoder = toy_encoder()
    small = np.zeros((16, 16, 8), np.uint8)
    np.save(toy_masks.parent / "ball0.npy", small)
    run = tmp_path / "some"
    words = ["--encoder", str(encoder), "--manifest", str(toy_masks), "--run", str(run)]
    assert main(["finetune", *words, *SMALL]) == 0
    assert "ball0.npy has shape (16, 16, 8), its image has (16, 16, 16)" in capsys.readouterr().out
    assert "ball0.npy" in (run / "quarantine.csv").read_text()
    for row in rows(toy_masks):
        np.save(toy_masks.parent / row["mask"], small)
    refused(r"no mask fits its image: .*has shape \(16, 16, 8\)", encoder, "--manifest", toy_masks)


def test_the_encoder_is_none_for_this_data(refused: Refused, toy_encoder: Write, toy_data: Path) -> None:
    encoder = toy_encoder(domain="audio")
    refused("trained on domain 'audio', the data is 'toy'", encoder, "--manifest", toy_data, "domain=toy")
    refused("domain", "random", "--manifest", toy_data)
    refused("nowhere: no such run folder or encoder file", "nowhere", "--manifest", toy_data)


def test_the_encoder_file_is_truncated(refused: Refused, toy_encoder: Write, toy_data: Path) -> None:
    encoder = toy_encoder() / "encoder.safetensors"
    whole = encoder.read_bytes()
    for size in (0, 4, 100, len(whole) - 1):
        encoder.write_bytes(whole[:size])
        refused("encoder.safetensors: truncated or not an encoder file", encoder, "--manifest", toy_data)


def test_what_the_encoder_has_nothing_for(
    refused: Refused, toy_encoder: Write, toy_data: Path, toy_masks: Path
) -> None:
    vit, net = toy_encoder("vit"), toy_encoder("net", backbone="convnet-tiny")
    words = "finetune.decoder=skip: joins maps of several scales and vit-pico has one; use unetr, fpn, linear or auto"
    refused(words, vit, "--manifest", toy_masks, "finetune.decoder=skip")
    words = "finetune.decoder=unetr: reads the blocks of a plain vision transformer and convnet-tiny is none; use skip"
    refused(words, net, "--manifest", toy_masks, "finetune.decoder=unetr")
    refused("classification has no decoder", vit, "--manifest", toy_data, "finetune.decoder=fpn")
    refused("mode=lora needs attention layers", net, "--manifest", toy_data, "finetune.mode=lora")
    refused(r"finetune\.mode", vit, "--manifest", toy_data, "finetune.mode=adapter")
    refused(r"labels\.fraction=0: must be above 0", vit, "--manifest", toy_data, "labels.fraction=0")
