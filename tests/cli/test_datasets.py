"""Public datasets from the folder a user downloaded to a figure, on tiny made copies of the real layouts."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.cli.dataset_layouts import LAYOUTS

from ssl_platform import api
from ssl_platform.cli.main import main

Capture = pytest.CaptureFixture[str]
COUNTED = tuple("0123456789")  # how many there are and how many were published
TINY: dict[str, Any] = {"backbone.depth": 1, "backbone.dim": 24, "backbone.heads": 2}


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`download("esc-50")`: its made copy, written once; tests leave it as it is."""
    made: dict[str, Path] = {}

    def one(name: str) -> Path:
        if name in HDF5:
            pytest.importorskip("h5py")
        if name not in made:
            made[name] = LAYOUTS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return one


def ran(capsys: Capture, *words: str) -> tuple[int, Any, str]:
    """Exit code, what JSON was printed, and what was said on standard error."""
    capsys.readouterr()
    code = main([*words, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Case:
    """What a made copy holds, and what is made of it.

    Attributes:
        parts: rows of the manifest by part, or by fold.
        labels: rows by label; `mask` where it is one.
        metric: of which protocol, or of a fine-tuned model.
        least: what the metric reaches on classes that differ plainly.
        task: where labels leave it open.
        keys: besides those the dataset brings.
    """

    parts: dict[str, int]
    labels: dict[str, int]
    metric: str = "knn/accuracy"
    least: float = 0.9
    task: str | None = None
    keys: dict[str, Any] = field(default_factory=dict)


def nine(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, 9)


HDF5 = ("patchcamelyon", "scanobjectnn")
DENSE = {"finetune.steps": 20, "finetune.batch_size": 4, "finetune.eval_every": 10}
CASES = {
    "msd-hippocampus": Case({"": 12}, {"mask": 10, "": 2}, "finetune/dice", 0.2, "segmentation", DENSE),
    "luna16": Case({f"fold {k}": 2 for k in range(10)}, {"nodule": 10, "other": 10}),
    "eurosat": Case({"train": 15, "val": 6, "test": 6}, nine("AnnualCrop", "Forest", "SeaLake")),
    "bigearthnet-v2": Case(
        {"train": 8, "val": 4, "test": 4},
        {"Marine waters": 8, "Arable land": 4, "Arable land|Marine waters": 4},
        "knn/map",
    ),
    "camelyon16": Case(
        {"train": 10, "test": 4},
        {"normal": 7, "tumour": 7},
        "mil/auc",
        0.9,
        "mil",
        {"probe.steps": 30, "data.tiles": 4},
    ),
    "patchcamelyon": Case({"train": 12, "val": 6, "test": 6}, {"normal": 12, "tumour": 12}),
    "nct-crc": Case({"train": 18, "test": 9}, nine("ADI", "BACK", "TUM")),
    "ucf101": Case({"train": 28, "test": 12}, {"ApplyEyeMakeup": 20, "YoYo": 20}),
    "davis-2017": Case(
        {"train": 2, "test": 2},
        {"mask": 4},
        "label-propagation/j_and_f",
        0.1,
        "label-propagation",
        {"probe.frame_size": 48},
    ),
    "esc-50": Case({f"fold {k}": 4 for k in range(1, 6)}, {"dog": 10, "rain": 10}),
    "speech-commands": Case({"train": 18, "val": 6, "test": 6}, {"down": 10, "up": 10, "yes": 10}),
    "modelnet40": Case({"train": 16, "test": 8}, {"airplane": 12, "xbox": 12}),
    "scanobjectnn": Case({"train": 12, "test": 6}, {"box": 9, "sofa": 9}),
    "shapenetpart": Case({"train": 12, "val": 4, "test": 4}, {"mask": 20}, "finetune/miou", 0.1, "segmentation", DENSE),
}


def test_two_datasets_and_more_of_each_domain_are_exercised(capsys: Capture) -> None:
    _, listed, _ = ran(capsys, "datasets")
    domain = {row["name"]: row["domain"] for row in listed}
    assert set(CASES) == set(LAYOUTS)
    twice = Counter(dict.fromkeys(set(domain.values()), 2))
    assert Counter(domain[name] for name in CASES) == twice + Counter(domain[name] for name in HDF5)
    others = {name for name, row in zip(domain, listed, strict=True) if row["adapter"] == "yes"} - set(CASES)
    assert all(name.startswith("msd-") or name == "fsdd" for name in others), others


@pytest.mark.parametrize("name", CASES)
def test_a_download_ends_in_a_figure(
    name: str, download: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    """Told from its files, whole but for its size, written as a manifest, and evaluated."""
    case, folder = CASES[name], download(name)
    code, found, _ = ran(capsys, "datasets", "verify", str(folder))
    assert code == 2 and found["name"] == name
    assert [line for line in found["problems"] if not line.endswith(COUNTED)] == []
    manifest = tmp_path / "rows.csv"
    code, written, _ = ran(capsys, "datasets", "manifest", name, str(folder), "--out", str(manifest))
    assert code == 0 and written["items"] == found["items"]
    use = f"ssl-platform {'finetune' if case.task == 'segmentation' else 'probe'} --encoder RUN --manifest {manifest}"
    assert written["use"].startswith(use) and (case.task in (None, "segmentation", *written["use"].split()))
    rows = table(manifest)
    assert Counter(f"fold {row['fold']}" if "fold" in row else row.get("split", "") for row in rows) == case.parts
    assert Counter("mask" if row.get("mask") else row.get("label", "") for row in rows) == case.labels
    _, declared, _ = ran(capsys, "datasets", "show", name)
    own = dict(setting.split("=") for setting in declared.get("settings", ()))
    run = api.finetune if case.task == "segmentation" else api.probe
    words = {"encoder": "random", "domain": declared["domain"], "manifest": manifest, "run": tmp_path / "run"}
    protocol = {"protocol": "knn"} if case.task is None else {"task": case.task}
    result = run(**words, **protocol, overrides={**TINY, **own, **case.keys})
    assert case.least <= result["metrics"][case.metric]["value"] <= 1, result["metrics"]


def test_what_is_wrong_with_a_download_is_named_file_by_file(
    download: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    """Missing, empty, cut off and replaced by a pointer: a line each, and exit code 2."""
    words = shutil.copytree(download("speech-commands"), tmp_path / "words")
    names = [f"up/{k:08x}_nohash_0.wav" for k in range(10)]
    (words / names[9]).unlink()
    (words / names[8]).write_bytes(b"")
    (words / names[0]).write_bytes((words / names[0]).read_bytes()[:9000])
    (words / names[1]).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    code, found, said = ran(capsys, "datasets", "verify", str(words))
    lines = {path: why for path, _, why in (line.partition(": ") for line in found["problems"]) if path in names}
    assert code == 2 and set(lines) == {names[9], names[8], names[0], names[1]}
    assert lines[names[9]] == "missing" and lines[names[8]] == "empty" and "git lfs pull" in lines[names[1]]
    assert lines[names[0]].startswith("truncated: ")
    assert said.startswith(f"error: speech-commands in {words} is not complete: ") and said.count("\n") == 1
    code, found, _ = ran(capsys, "datasets", "verify", str(words), "--quick")
    assert code == 2 and names[0] not in "".join(found["problems"])  # its size is all that --quick looks at
    (words / "testing_list.txt").unlink()
    assert main(["datasets", "verify", "speech-commands", str(words)]) == 2
    assert capsys.readouterr().err == f"error: {words}/testing_list.txt: missing; it is in the archive\n"


def test_damaged_content_of_small_sets_is_found(
    download: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    """Headers that promise more than follows: compressed volumes, masks, bands of a patch, frames."""
    volumes = shutil.copytree(download("msd-hippocampus"), tmp_path / "Task04_Hippocampus")
    for name in ("imagesTr/hippocampus_002.nii.gz", "labelsTr/hippocampus_005.nii.gz"):
        (volumes / name).write_bytes((volumes / name).read_bytes()[:-200])
    patches = shutil.copytree(download("bigearthnet-v2"), tmp_path / "patches")
    gone = next(patches.glob("BigEarthNet-S2/*/*_03_57/*_B04.tif"))
    gone.unlink()
    frames = shutil.copytree(download("davis-2017"), tmp_path / "DAVIS")
    (frames / "Annotations" / "480p" / "goat" / "00007.png").unlink()
    for folder, names in (
        (volumes, ["imagesTr/hippocampus_002.nii.gz", "labelsTr/hippocampus_005.nii.gz"]),
        (patches, [gone.parent.relative_to(patches).as_posix()]),
        (frames, ["Annotations/480p/goat"]),
    ):
        code, found, _ = ran(capsys, "datasets", "verify", str(folder))
        wrong = [line.partition(": ")[0] for line in found["problems"] if not line.endswith(COUNTED)]
        assert code == 2 and wrong == names, found["problems"]


def test_what_hdf5_needs_and_lacks_is_said(
    download: Callable[[str], Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was cut off by name, and without h5py what to install."""
    patches = shutil.copytree(download("patchcamelyon"), tmp_path / "pcam")
    cut = patches / "camelyonpatch_level_2_split_valid_x.h5"
    cut.write_bytes(cut.read_bytes()[:-3000])
    code, found, _ = ran(capsys, "datasets", "verify", str(patches))
    wrong = [line for line in found["problems"] if not line.endswith(COUNTED)]
    assert code == 2 and len(wrong) == 1 and wrong[0].startswith(f"{cut.name}: not a readable HDF5 file (")
    monkeypatch.setitem(sys.modules, "h5py", None)
    lines = {
        "datasets": ["datasets", "manifest", "patchcamelyon", str(patches), "--out", str(tmp_path / "rows.csv")],
        "wholeslide": ["scan", str(cut), "--domain", "wholeslide"],
        "pointcloud": ["scan", str(cut), "--domain", "pointcloud"],
    }
    for name, words in lines.items():
        assert main(words) == 2
        assert f"needs h5py: pip install 'ssl-platform-{name}[hdf5]'" in capsys.readouterr().err


@pytest.mark.real
@pytest.mark.parametrize("words", [["--quick"], pytest.param([], marks=pytest.mark.slow)])
def test_a_real_download_is_whole(words: list[str], real_data: Path, capsys: Capture) -> None:
    code, found, said = ran(capsys, "datasets", "verify", str(real_data / "audio" / "fsdd"), *words)
    assert (code, found["name"], found["items"], found["problems"]) == (0, "fsdd", 3000, []), said
    assert found["splits"] == {"train": 1500, "val": 500, "test": 1000}


def test_listing_and_showing(capsys: Capture) -> None:
    _, listed, _ = ran(capsys, "datasets")
    assert {"yes", "later"} == {row["adapter"] for row in listed}
    assert main(["datasets", "show", "hmdb51"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["adapter"].startswith("comes later: ") and shown["licence"] == "CC-BY-4.0"
    assert shown["sizes"] == "train=3570, test=1530" and "factory" not in shown
    assert main(["datasets", "show", "esc50"]) == 2
    assert "(did you mean 'esc-50'?)" in capsys.readouterr().err
