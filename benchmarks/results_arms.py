"""One arm of the table: an encoder is trained and measured, and its figures are kept."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from results_plan import SMALL, STEPS, STUDIES, SUPERVISED, Arm, Study


def measured(arm: Arm, source: dict[str, Any], out: Path) -> dict[str, Any]:
    """The arm's row, made unless it is kept already.

    Args:
        arm: what to measure.
        source: `data`, `manifest` and `labels` of the commands; empty for the sample set.
        out: where rows and runs are kept.

    Returns:
        Figures by protocol and metric, and the seconds each part took.
    """
    import torch

    torch.set_num_threads(1)
    kept = out / "rows" / f"{arm.name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    study = STUDIES[arm.study]
    encoder = _encoder(arm, study, source, out / "runs" / arm.name)
    place = out / "evaluations" / arm.name
    shutil.rmtree(place, ignore_errors=True)  # of an arm that was interrupted
    began = time.monotonic()
    figures = _frozen(arm, study, source, encoder, place) if study.task == "classification" else {}
    figures["finetune"] = _few_labels(arm, study, source, encoder, place)
    row = {
        "study": arm.study,
        "encoder": arm.encoder,
        "objective": study.objective(arm.encoder),
        "seed": arm.seed,
        "figures": figures,
        "seconds": {"train": _seconds(out / "runs" / arm.name), "evaluate": time.monotonic() - began},
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".tmp")
    draft.write_text(json.dumps(row, indent=1), encoding="utf-8")
    draft.replace(kept)
    return row


def _encoder(arm: Arm, study: Study, source: dict[str, Any], folder: Path) -> str:
    """The word `random`, or a folder with an encoder; trained or resumed where it is not finished."""
    if arm.encoder == "random":
        return "random"
    if arm.encoder == "supervised":
        return _supervised(arm, study, source, folder)
    from ssl_platform import api
    from ssl_platform.train.run import read_result

    result = read_result(folder)
    if result is not None and result["status"] == "done":
        return str(folder)
    if (folder / "config.yaml").exists():
        api.pretrain(run=folder, resume=True)
        return str(folder)
    objective = study.objective(arm.encoder)
    keys = {
        **_keys(arm, study),
        "data.window": list(study.window),
        "views.global_size": list(study.size),
        "data.batch_size": 32,
        "trainer.max_steps": study.steps.get(arm.encoder, STEPS[arm.encoder]),
        "health.knn": False,
        "data.workers": 0,
        **study.pretrain.get("", {}),
        **study.pretrain.get(arm.encoder, {}),
    }
    unlabelled = {key: value for key, value in source.items() if key != "labels"}
    api.pretrain(domain=study.domain, **unlabelled, objective=objective, run=folder, overrides=keys)
    return str(folder)


def _supervised(arm: Arm, study: Study, source: dict[str, Any], folder: Path) -> str:
    """The encoder of a model trained from random weights with all labels of the training items."""
    from ssl_platform import api, encoder
    from ssl_platform.transfer.model import WEIGHTS, load_model

    own = folder / "encoder"
    if not (own / encoder.WEIGHTS).exists():
        if not (folder / WEIGHTS).exists() or not (folder / "predictions_finetune.csv").exists():
            keys = {
                **_fresh(arm, study),
                "finetune.steps": SUPERVISED["steps"] * study.finetune,
                "finetune.head": SUPERVISED["finetune.head"],
                "finetune.eval_every": study.finetune,
            }
            begun = (folder / "made_with.json").exists()
            given = {"encoder": "random", "domain": study.domain, "task": study.task, **source}
            api.finetune(**given, run=folder, resume=begun, overrides=keys)
        model, record = load_model(folder)
        about = replace(record.encoder, objective="supervised", training=record.training)
        own.mkdir(exist_ok=True)
        encoder.write(own, model.backbone, about)
    return str(own)


def _frozen(arm: Arm, study: Study, source: dict[str, Any], encoder: str, place: Path) -> dict[str, Any]:
    """Figures of the protocols that leave the encoder as it is."""
    from ssl_platform import api

    keys = _fresh(arm, study) if encoder == "random" else _keys(arm, study)
    given = {"encoder": encoder, "domain": study.domain, "task": study.task, **source}
    result = api.probe(**given, protocol=("knn", study.linear), run=place / "probe", overrides=keys)
    return {"knn": _of(result, "knn"), "linear": _of(result, study.linear)}


def _few_labels(arm: Arm, study: Study, source: dict[str, Any], encoder: str, place: Path) -> dict[str, Any]:
    """Means over draws of fine-tuning with a tenth of the labels."""
    from ssl_platform import api

    found = []
    for draw in range(study.draws):
        keys = {
            **(_fresh(arm, study) if encoder == "random" else _keys(arm, study)),
            "finetune.steps": study.finetune,
            "finetune.eval_every": study.finetune // 3,
            "labels.fraction": 0.1,
            "labels.draw": draw,
        }
        given = {"encoder": encoder, "domain": study.domain, "task": study.task, **source}
        result = api.finetune(**given, run=place / f"finetune{draw}", overrides=keys)
        found.append(_of(result, "finetune"))
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def _keys(arm: Arm, study: Study) -> dict[str, Any]:
    """Of every command."""
    settings = {k: v for k, v in study.keys.items() if not k.startswith("backbone.")}
    if arm.encoder in ("random", "supervised"):
        return {"seed": arm.seed, **settings}
    return {"seed": arm.seed, **SMALL, **study.keys}


def _fresh(arm: Arm, study: Study) -> dict[str, Any]:
    """Of a command that makes an encoder of its own: the one pretraining would train."""
    return {"seed": arm.seed, **SMALL, **study.keys, "data.window": list(study.size)}


def _seconds(run: Path) -> float:
    """How long an encoder was trained; 0 for random weights."""
    from ssl_platform.train.run import read_result

    return float((read_result(run) or {}).get("seconds") or 0.0)


def _of(result: dict[str, Any], protocol: str) -> dict[str, float]:
    """Values of a protocol by metric."""
    start = f"{protocol}/"
    return {
        name.removeprefix(start): float(metric["value"])
        for name, metric in result["metrics"].items()
        if name.startswith(start)
    }
