"""Does pretraining help? Measures it on the sample set and writes the table of docs/results.md.

    python benchmarks/results.py                                  # all of it; run it again to go on where it stopped
    python benchmarks/results.py --objectives mae --seeds 1 --steps 200

For every objective and seed an encoder is pretrained without labels on the domain's sample set. It is then measured on
the test items beside its own architecture with random weights of the same seed: a linear probe on frozen features with
all labels of the training items, and fine-tuning with ten of them (the same ten for both). The ten are drawn several
times (the same draws for every seed) and a seed counts with its mean over draws.
Reported is the mean over seeds and the paired difference with its 95 % Student interval.

Every measurement is kept as JSON by the hash of all that decides it (settings, seed, data); runs that were interrupted
are resumed, and only what is missing is computed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

DOMAIN = "medical3d"
LABELS, DRAWS = 10, 3
COMMON: dict[str, Any] = {"data.batch_size": 16, "health.knn": False}
RECIPES: dict[str, dict[str, Any]] = {"mae": {"trainer.max_steps": 800}, "dino": {"trainer.max_steps": 300}}
"""Settings of pretraining by objective, of about equal cost; what is not named keeps its default."""
FINETUNE: dict[str, Any] = {"finetune.steps": 300}
METRICS = ("accuracy", "auc")
PROTOCOLS = {
    "linear": "frozen linear probe, all labels",
    "finetune": "fine-tune, {labels} labels",
    "linear-few": "frozen linear probe, {labels} labels",
}
BEGIN, END = "<!-- results: written by benchmarks/results.py -->\n", "<!-- end of results -->"


@dataclass(frozen=True)
class Case:
    """One measurement: an encoder of one objective and seed under one protocol.

    Attributes:
        objective: pretraining objective.
        seed: of pretraining, of the random weights beside it, of the labels drawn and of fine-tuning.
        protocol: a key of `PROTOCOLS`.
        pretraining, evaluation: dotted keys.
        data_id: of the sample set.
    """

    objective: str
    seed: int
    protocol: str
    pretraining: dict[str, Any]
    evaluation: dict[str, Any]
    data_id: str

    @property
    def hash(self) -> str:
        """Of all that decides the numbers."""
        return digest(asdict(self))

    @property
    def run(self) -> str:
        """Name of the pretraining run, shared by the protocols."""
        return f"{self.objective}-{self.seed}-{digest([self.objective, self.seed, self.pretraining, self.data_id])}"


@dataclass
class Scores:
    """Values of one objective under one protocol and metric, by seed one a draw of labels."""

    value: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    beside: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def seeds(self) -> tuple[list[float], list[float]]:
        """Means over draws of the pretrained and of the random encoder, one a seed."""
        return [mean(v) for v in self.value.values()], [mean(v) for v in self.beside.values()]


def digest(value: Any) -> str:
    """Ten hexadecimal digits of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


def sample_set() -> str:
    """Id of the sample set; written where it is not there yet."""
    from ssl_platform.configure import configure
    from ssl_platform.opening import open_data

    return open_data(configure("probe", domain=DOMAIN, task="classification")).catalog.id


def cases(args: argparse.Namespace, data_id: str) -> list[Case]:
    """Everything the table needs, in the order it is measured."""
    from ssl_platform.config.overrides import parse_overrides

    extra = parse_overrides(args.set)
    found = []
    for objective in args.objectives:
        pretraining = {**COMMON, **RECIPES.get(objective, {}), "scale": args.scale}
        if args.steps is not None:
            pretraining["trainer.max_steps"] = args.steps
        for seed in range(args.seeds):
            for protocol in args.protocols:
                for draw in range(1 if protocol == "linear" else args.draws):
                    evaluation = {} if protocol == "linear" else {"labels.count": args.labels, "labels.draw": draw}
                    if protocol == "finetune":
                        evaluation |= {**FINETUNE, "finetune.steps": args.finetune_steps}
                    found.append(Case(objective, seed, protocol, {**pretraining, **extra}, evaluation, data_id))
    return found


def pretrained(case: Case, out: Path) -> Path:
    """The folder of a case's encoder, trained or resumed when it is not finished."""
    from ssl_platform import api
    from ssl_platform.train.run import read_result

    folder = out / "runs" / case.run
    result = read_result(folder)
    if result is not None and result["status"] == "done":
        return folder
    if (folder / "config.yaml").exists():
        api.pretrain(run=folder, resume=True)
    else:
        api.pretrain(domain=DOMAIN, objective=case.objective, seed=case.seed, run=folder, overrides=case.pretraining)
    return folder


def measured(case: Case, out: Path) -> dict[str, Any]:
    """The case's row, computed unless it is kept already."""
    from ssl_platform import api

    kept = out / "rows" / f"{case.hash}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    encoder = pretrained(case, out)
    folder = out / "compared" / f"{case.run}-{case.protocol}-{case.hash}"
    result = api.compare(
        runs=[encoder],
        protocol=case.protocol.removesuffix("-few"),
        overrides={
            "compare.seeds": 1,
            "seed": case.seed,
            "task": "classification",
            "run": str(next(p for i in range(10**6) if not (p := folder.with_name(f"{folder.name}.{i}")).exists())),
            **case.evaluation,
        },
    )
    row = {"case": asdict(case), "metrics": {r["metric"].split("/")[1]: r for r in result["rows"]}}
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".tmp")
    draft.write_text(json.dumps(row, indent=1))
    draft.replace(kept)
    return row


def table(rows: Sequence[dict[str, Any]], labels: int) -> str:
    """The rows as Markdown: means over seeds and paired differences."""
    from ssl_platform.transfer.comparison import figure
    from ssl_platform.transfer.intervals import over_seeds, paired_difference

    scores: dict[tuple[str, str, str], Scores] = {}
    for row in rows:
        for metric in METRICS:
            found = scores.setdefault((row["case"]["objective"], row["case"]["protocol"], metric), Scores())
            found.value[row["case"]["seed"]].append(row["metrics"][metric]["value"]["value"])
            found.beside[row["case"]["seed"]].append(row["metrics"][metric]["beside"]["value"])
    lines = [
        "| pretraining | evaluation | metric | seeds | pretrained | random init | difference [95 % CI] |",
        "|---|---|---|---|---|---|---|",
    ]
    for (objective, protocol, metric), found in scores.items():
        what = "pretraining seeds"
        value, beside = found.seeds
        cells = (
            objective,
            PROTOCOLS[protocol].format(labels=labels),
            metric,
            str(len(value)),
            f"{over_seeds(value, what).value:.3f}",
            f"{over_seeds(beside, what).value:.3f}",
            figure(paired_difference(value, beside, what), "+"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_page(page: Path, text: str) -> None:
    """Put the table between the page's marks; without them, at its end."""
    old = page.read_text(encoding="utf-8") if page.exists() else "# Results\n\n"
    head, _, rest = old.partition(BEGIN)
    tail = rest.partition(END)[2] if rest else "\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{head}{BEGIN}{text}{END}{tail}", encoding="utf-8")


def _without_folder(words: Sequence[str]) -> list[str]:
    """The arguments that decide numbers: where rows are kept is not one of them."""
    kept = list(words)
    if "--out" in kept:
        at = kept.index("--out")
        del kept[at : at + 2]
    return kept


def _steps(wanted: Sequence[Case]) -> dict[str, Any]:
    return {case.objective: case.pretraining.get("trainer.max_steps", "default") for case in wanted}


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objectives", nargs="+", default=list(RECIPES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="pretraining seeds")
    parser.add_argument("--steps", type=int, help="pretraining steps instead of the recipe's")
    parser.add_argument("--finetune-steps", type=int, default=FINETUNE["finetune.steps"])
    parser.add_argument("--protocols", nargs="+", default=["linear", "finetune"], choices=list(PROTOCOLS))
    parser.add_argument("--labels", type=int, default=LABELS, help="labels of the few-label protocols")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws of these labels")
    parser.add_argument("--scale", default="auto", choices=["auto", "paper", "tiny"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of pretraining")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="runs and rows")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"), help="page the table is written into")
    args = parser.parse_args(words)
    given = list(sys.argv[1:] if words is None else words)

    data_id = sample_set()
    wanted = cases(args, data_id)
    rows = []
    for number, case in enumerate(wanted, 1):
        print(f"--- {number} of {len(wanted)}: {case.objective}, seed {case.seed}, {case.protocol}", flush=True)
        rows.append(measured(case, args.out))
    steps = ", ".join(f"{name} {made} steps" for name, made in _steps(wanted).items())
    command = shlex.join(["python", "benchmarks/results.py", *_without_folder(given)])
    text = (
        f"Made by `{command}`: the sample set of {DOMAIN} (data {data_id}), {steps}, "
        f"{args.seeds} seeds. Means over seeds; the difference is paired by seed, its interval is Student's over "
        f"pretraining seeds. `random init` is the same architecture with random weights under the same protocol, with "
        f"the same labels, drawn {args.draws} times where there are few; fine-tuning picks its step on the validation "
        f"items.\n\n{table(rows, args.labels)}"
    )
    write_page(args.page, text)
    print(table(rows, args.labels))
    print(f"table {args.page}")


if __name__ == "__main__":
    main()
