"""`scale=auto`: a paper's widths, queues and prototypes shrunk to a run that is smaller than the paper's.

Published settings belong to a million images, batches of thousands and encoders of 384 to 2048 dimensions. On a few
hundred volumes and a pico encoder they overfit, never fill or outweigh the encoder. Each rule acts on settings by name
(or by objective and name), only downwards (the head's batch statistics apart), never on a value somebody asked for, and
every change is printed with its rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ssl_platform.config.overrides import flatten
from ssl_platform.config.schema import RunConfig
from ssl_platform.schedules import resolve_duration


@dataclass(frozen=True)
class RunSize:
    """What the rules look at.

    Attributes:
        windows: of one pass over the data.
        batch: global batch.
        steps: optimiser steps.
        embed_dim: of the encoder.
        depth: blocks of the encoder.
        gpu: whether it trains on a GPU.
        classes: of the labels, 0 where they are none.
    """

    windows: int
    batch: int
    steps: int
    embed_dim: int
    depth: int
    gpu: bool
    classes: int = 0


LONG = 10_000  # steps
LARGE = 256  # samples a batch

Rule = Callable[[Any, RunSize], tuple[Any, str]]


def _power_of_two(value: float) -> int:
    return int(2 ** max(0, math.floor(math.log2(max(1.0, value)))))


def _widths(value: Any, run: RunSize) -> tuple[Any, str]:
    most = max(64, 4 * run.embed_dim)
    return tuple(min(int(v), most) for v in value), f"at most 4 x the encoder's {run.embed_dim} dimensions"


def _width(value: Any, run: RunSize) -> tuple[Any, str]:
    widths, rule = _widths((value,), run)
    return widths[0], rule


def _narrow(value: Any, run: RunSize) -> tuple[Any, str]:
    most = max(32, run.embed_dim)
    return min(int(value), most), f"at most the encoder's {run.embed_dim} dimensions"


def _painted(value: Any, run: RunSize) -> tuple[Any, str]:
    # Maps of a view have many more places than the encoder has tokens: 64 belong to 384 dimensions.
    return min(int(value), max(8, run.embed_dim // 6)), f"at most a sixth of the encoder's {run.embed_dim} dimensions"


def _bottleneck(value: Any, run: RunSize) -> tuple[Any, str]:
    # Cosines of random directions spread by 1 / sqrt(D): few prototypes need few dimensions to be told apart.
    return min(int(value), max(32, run.embed_dim // 2)), f"at most half the encoder's {run.embed_dim} dimensions"


def _momentum(value: Any, run: RunSize) -> tuple[Any, str]:
    # Most of these rise to 1 along a cosine. At a tenth of the run byol, dino and moco-v2 learnt less in 400 steps.
    most = max(0.9, 1 - 40 / max(1, run.steps))
    return min(float(value), round(most, 4)), f"the teacher follows within a fortieth of {run.steps} steps"


def _final_momentum(value: Any, run: RunSize) -> tuple[Any, str]:
    most = max(0.9, 1 - 3.75 / max(1, run.steps))
    return min(float(value), round(most, 6)), f"the teacher follows within a quarter of {run.steps} steps"


def _teacher_temperature(value: Any, run: RunSize) -> tuple[Any, str]:
    start, end = value
    if run.steps >= LONG:
        return (start, end), ""
    # On small sets 0.04 let outputs over few prototypes drift to uniform (volumes of the hippocampus, 192 items).
    return (start * 0.75, start * 0.75), f"sharp and not softened within {LONG} steps"


def _freeze_last_layer(value: Any, run: RunSize) -> tuple[Any, str]:
    # Few prototypes that may move soon all stand at right angles to the few directions in which samples differ.
    return ("100%" if run.steps < LONG else value), f"prototypes that move let a run of under {LONG} steps go uniform"


def _head_norm(value: Any, run: RunSize) -> tuple[Any, str]:
    norm = value or ("batch" if run.batch < LARGE else None)
    return norm, f"below {LARGE} samples a batch what all of them share would hide the rest"


def _heads(value: Any, run: RunSize) -> tuple[Any, str]:
    return min(int(value), max(1, run.embed_dim // 32)), "heads of at least 32 dimensions"


def _depth(value: Any, run: RunSize) -> tuple[Any, str]:
    return min(int(value), max(1, run.depth // 2)), f"at most half the encoder's {run.depth} blocks"


def _prototypes(value: Any, run: RunSize) -> tuple[Any, str]:
    most = max(min(64, run.windows), _power_of_two(run.windows / 2))
    return min(int(value), most), f"at most one for two of the {run.windows} windows"


def _place_prototypes(value: Any, run: RunSize) -> tuple[Any, str]:
    fewer, rule = _prototypes(value, run)
    if run.batch >= LARGE:
        return fewer, rule
    return min(fewer, max(16, run.batch // 2)), f"balanced at every place of a batch of {run.batch}"


def _permutations(value: Any, run: RunSize) -> tuple[Any, str]:
    return (value, "") if run.steps >= LONG else (min(int(value), 100), f"at most 100 within {LONG} steps")


def _queue(value: Any, run: RunSize) -> tuple[Any, str]:
    # It must be filled within the first quarter of the run, and hold each window at most about once.
    most = min(run.windows // 2, run.steps * run.batch // 4) // run.batch * run.batch
    return min(int(value), most), f"at most half of the {run.windows} windows, whole batches of {run.batch}"


def _hard(value: Any, run: RunSize) -> tuple[Any, str]:
    # Of a published queue of 16,384 to 65,536 keys the hardest 1,024 are mixed: of all keys nothing would be hard.
    most = max(8, _queue(2**16, run)[0] // 16)
    return min(int(value), most), f"at most a sixteenth of the queue's {_queue(2**16, run)[0]} keys"


def _whitened(value: Any, run: RunSize) -> tuple[Any, str]:
    # A covariance is regular only for more samples than dimensions: sub-batches hold twice as many.
    return min(
        int(value), _power_of_two(run.batch / 2)
    ), f"sub-batches of twice as many must fit a batch of {run.batch}"


def _slices(value: Any, run: RunSize) -> tuple[Any, str]:
    return (value, "") if run.gpu else (min(int(value), 256), "256 on a CPU, as in the paper's small example")


def _words(value: Any, run: RunSize) -> tuple[Any, str]:
    most, rule = _queue(value, run)
    return min(int(value), max(most, run.batch)), f"{rule}, at least one batch"


def _whole_set(value: Any, run: RunSize) -> tuple[Any, str]:
    epoch = max(1, run.windows // run.batch)
    soon = resolve_duration(value, run.steps, epoch) < epoch
    return ("1ep" if soon else value), f"at most one pass over the {run.windows} windows for one of training"


def _local_crops(value: Any, run: RunSize) -> tuple[Any, str]:
    return (value, "") if run.gpu else (min(int(value), 2), "two on a CPU")


def _augmentations(value: Any, run: RunSize) -> tuple[Any, str]:
    return (value, "") if run.gpu else (min(int(value), 4), "four on a CPU")


RULES: Mapping[str, Rule] = {
    "proj_dims": _widths,
    "map_proj_dims": _widths,
    "pred_dims": _widths,
    "hidden": _width,
    "bottleneck": _bottleneck,
    "patch_bottleneck": _bottleneck,
    "head_norm": _head_norm,
    "freeze_last_layer": _freeze_last_layer,
    "freeze_prototypes": _freeze_last_layer,
    "momentum": _momentum,
    "final_momentum": _final_momentum,
    "teacher_temperature": _teacher_temperature,
    "patch_teacher_temperature": _teacher_temperature,
    "out_dim": _prototypes,
    "prototypes": _prototypes,
    "capi.prototypes": _place_prototypes,
    "queue": _queue,
    "hardest": _hard,
    "mixed": _hard,
    "query_mixed": _hard,
    "words": _words,
    "decoder_dim": _narrow,
    "painter_dim": _painted,
    "decoder_depth": _depth,
    "decoder_heads": _heads,
    "predictor_dim": _narrow,
    "predictor_depth": _depth,
    "predictor_heads": _heads,
    "local_crops": _local_crops,
    "relabel_every": _whole_set,
    "whitened": _whitened,
    "slices": _slices,
    "permutations": _permutations,
    "augmentations": _augmentations,
}
SWITCHED_ON = frozenset({"head_norm"})  # rules that give a value to a setting whose paper has none
TINY: Mapping[str, Any] = {
    "hidden": 32,
    "bottleneck": 16,
    "patch_bottleneck": 16,
    "out_dim": 16,
    "prototypes": 16,
    "queue": 0,
    "words": 64,
    "decoder_dim": 32,
    "painter_dim": 8,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "predictor_dim": 32,
    "predictor_depth": 1,
    "predictor_heads": 2,
    "local_crops": 2,
    "segments": 4,
    "whitened": 2,
    "slices": 32,
    "permutations": 6,
    "augmentations": 3,
}


def shrink(config: RunConfig, settings: Mapping[str, Any], run: RunSize) -> list[str]:
    """Shrink the objective's settings in `config.objective`.

    Args:
        config: changed in place; its `scale` says how.
        settings: the objective's settings with its paper's defaults filled in.
        run: the run's size.

    Returns:
        One line a change.
    """
    lines: list[str] = []
    if config.scale == "paper":
        return lines
    for key, value in flatten(dict(settings)).items():
        *path, name = key.split(".")  # settings of a combination's parts lie under the part's name
        owner = path[-1] if path else config.objective["name"]
        if name not in RULES or config.given(f"objective.{key}") or not (value or name in SWITCHED_ON):
            continue
        if config.scale == "tiny":
            if name not in TINY and not name.endswith("_dims"):
                continue
            new = TINY[name] if name in TINY else tuple(min(int(v), 32) for v in value)
            new, rule = (new if _smaller(new, value) else value), "scale=tiny"
        else:
            new, rule = RULES.get(f"{owner}.{name}", RULES[name])(value, run)
        if new != (tuple(value) if isinstance(value, list) else value):
            shown = list(new) if isinstance(new, tuple) else new
            config.resolve(f"objective.{key}", shown, f"scale={config.scale}: {rule}")
            lines.append(f"objective.{key}={shown} (paper {_plain(value)}; {rule})")
    return lines


def _smaller(new: Any, old: Any) -> bool:
    return new != old if isinstance(new, tuple) else bool(new < old)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
