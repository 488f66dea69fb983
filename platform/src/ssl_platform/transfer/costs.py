"""What a run took: parameters of its encoder, steps and seconds before and while it was evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ssl_platform.train.run import read_result
from ssl_platform.transfer.comparison import RANDOM, Cost


def pretraining(encoder: str) -> dict[str, Any]:
    """`result.json` of the run an encoder comes from, `RUN` or `RUN@STEP`; empty where it is not known."""
    if encoder == RANDOM:
        return {"steps": 0, "seconds": 0}
    run, _, step = encoder.partition("@")
    result = read_result(Path(run).expanduser()) or {}
    return {**result, "steps": int(step), "seconds": None} if result and step.isdigit() else result


def cost_of(name: str, results: Sequence[Mapping[str, Any]]) -> Cost:
    """The cost of a run from `result.json` of its evaluations, one a seed."""
    trained = [r if r.get("command") == "pretrain" else pretraining(str(r.get("encoder") or "")) for r in results]
    evaluations = [result for result in results if result.get("command") != "pretrain"]
    return Cost(
        name,
        parameters=next((int(r["parameters"]) for r in results if r.get("parameters")), None),
        pretraining_steps=_mean([r.get("steps") for r in trained]),
        pretraining_seconds=_mean([r.get("seconds") for r in trained]),
        evaluation_steps=_mean([r.get("steps") or None for r in evaluations]),
        evaluation_seconds=_mean([r.get("seconds") for r in evaluations]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean where all are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
