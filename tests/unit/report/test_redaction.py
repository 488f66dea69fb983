from __future__ import annotations

from ssl_platform.report.comparison_content import Told
from ssl_platform.report.redaction import LEFT_OUT, Redaction, class_of, without_classes
from ssl_platform.testing.run_folder import album

OPEN, PEOPLE, NOBODY = Redaction(), Redaction(sensitive=True, salt="s"), Redaction(anonymous=True, sensitive=True)


def test_names_are_kept_hashed_or_left_out() -> None:
    path = "/data/anna_schmidt.nii.gz"
    assert OPEN.item(path) == path and NOBODY.item(path) == LEFT_OUT
    assert "anna" not in PEOPLE.item(path) and PEOPLE.item(path).endswith("(.nii.gz)")
    assert PEOPLE.item(path) != Redaction(sensitive=True, salt="t").item(path)


def test_settings_lose_what_may_name_somebody() -> None:
    assert NOBODY.setting("data.paths", ["/data/a"]) == [LEFT_OUT]
    assert NOBODY.setting("data.sources", {"/data/a": 1.0}) == LEFT_OUT
    assert NOBODY.setting("labels.label", "anna") == LEFT_OUT
    assert NOBODY.setting("models.teacher", "anna") == LEFT_OUT
    assert NOBODY.setting("probe.scratch", ["anna"]) == [LEFT_OUT]
    assert NOBODY.setting("optim.lr", 0.1) == 0.1 and NOBODY.setting("optim.name", "adamw") == "adamw"
    assert PEOPLE.setting("data.paths", ["/d/anna.nii", "/d/scans", "/d/t.csv"]) == ["(a file)", "/d/scans", "/d/t.csv"]
    assert PEOPLE.word("data.manifest=/d/anna.dcm") == "data.manifest=(a file)"
    assert PEOPLE.word("anna.nii.gz") == "(a file)" and PEOPLE.word("timm:resnet50.a1_in1k") == "timm:resnet50.a1_in1k"
    assert PEOPLE.word("optim.lr=0.001") == "optim.lr=0.001"
    assert OPEN.setting("data.paths", ["/d/anna.nii"]) == ["/d/anna.nii"]


def test_metrics_of_classes_lose_their_names_alike() -> None:
    names = ("finetune/dice", "finetune/dice_liver", "finetune/dice_spleen", "finetune/miou", "finetune/iou_spleen")
    assert list(without_classes(names).values()) == [
        "finetune/dice", "finetune/dice_class 1", "finetune/dice_class 2", "finetune/miou", "finetune/iou_class 2",
    ]  # fmt: skip
    assert class_of("object-discovery/iou_lost") is None, "a method is no class"


def test_a_comparison_loses_runs_and_classes() -> None:
    row = {"run": "anna", "metric": "finetune/dice_liver", "labels": None, "baseline": None, "seeds": 1}
    pair = {"first": "anna", "second": "bert", "metric": "finetune/dice_liver", "labels": None}
    made = Told([row, {**row, "run": "bert"}], [pair], [{"run": "unknown", "parameters": 3}]).numbered()
    assert [one["run"] for one in made.rows] == ["run 1", "run 2"]
    assert made.rows[0]["metric"] == made.pairs[0]["metric"] == "finetune/dice_class 1"
    assert (made.pairs[0]["first"], made.pairs[0]["second"]) == ("run 1", "run 2")
    assert made.costs[0]["run"] == LEFT_OUT


def test_an_anonymous_album_has_numbers_only() -> None:
    found = NOBODY.album(album(10, names=("anna",)))
    assert not found.views and not found.reconstructions
    assert found.embedding is not None and not found.embedding.thumbnails and not found.embedding.neighbours
    assert found.embedding.items[0] == "item 1" and found.embedding.classes == ("class 1", "class 2")
    assert found.embedding.agreement == 0.8
