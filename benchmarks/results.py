"""Does pretraining help? Measures it on the sample set and writes the table of docs/results.md.

    python benchmarks/results.py                                  # all of it; run it again to go on where it stopped
    python benchmarks/results.py --domain audio
    python benchmarks/results.py --objectives mae --seeds 1 --steps 200
    python benchmarks/results.py --domain audio --data recordings --labels-file labels.csv

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

LABELS, DRAWS = 10, 2
COMMON: dict[str, Any] = {"health.knn": False}
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "medical3d": {
        "mae": {"trainer.max_steps": 1000, "data.batch_size": 16},
        "dino": {
            "trainer.max_steps": 600,
            "data.batch_size": 16,
            "data.window": [56, 56, 56],
            "views.global_size": 40,
            "views.local_size": 24,
            "views.rotate": 90,
            "objective.teacher_temperature": [0.04, 0.04],
            "optim.lr": 1.5e-3,
        },
    },
    "multispectral": {"mae": {"trainer.max_steps": 1500, "views.global_scale": [0.7, 1.0]}},
    "wholeslide": {"simclr": {}},
    "video": {"mae": {}},
    "audio": {"mae": {}},
    "pointcloud": {"simclr": {}},
}
"""Settings of pretraining by domain and objective; what is not named keeps its default.

DINO learns what two crops of an item share. Those of a sample volume share the direction of their layers, which names
the item and not its class: crops are turned, and cut from windows with room between them. Its teacher keeps the
published temperature, which short runs otherwise sharpen.
"""
FINETUNE: dict[str, Any] = {"finetune.steps": 100}
METRICS = ("accuracy", "auc")
PROTOCOLS = {
    "linear": "frozen linear probe, all labels",
    "finetune": "fine-tune, {labels} labels",
    "linear-few": "frozen linear probe, {labels} labels",
}
BEGIN, END = "<!-- results of {name}: written by benchmarks/results.py -->\n", "<!-- end of {name} -->"


@dataclass(frozen=True)
class Case:
    """One measurement: an encoder of one objective and seed under one protocol.

    Attributes:
        source: domain, and data and labels where they are not its sample set.
        objective: pretraining objective.
        seed: of pretraining, of the random weights beside it, of the labels drawn and of fine-tuning.
        protocol: a key of `PROTOCOLS`.
        pretraining, evaluation: dotted keys.
        data_id: of the data.
    """

    source: dict[str, Any]
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
        decides = [self.source, self.objective, self.seed, self.pretraining, self.data_id]
        return f"{self.source['domain']}-{self.objective}-{self.seed}-{digest(decides)}"


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


def source_of(args: argparse.Namespace) -> dict[str, Any]:
    """What names the data."""
    named = {"domain": args.domain, "data": args.data, "labels": args.labels_file}
    return {key: str(value) for key, value in named.items() if value is not None}


def identity(source: dict[str, Any]) -> str:
    """Id of the data; a sample set is written where it is not there yet."""
    from ssl_platform.configure import configure
    from ssl_platform.opening import open_data

    return open_data(configure("probe", **source, task="classification")).catalog.id


def cases(args: argparse.Namespace, data_id: str) -> list[Case]:
    """Everything the table needs, in the order it is measured."""
    from ssl_platform.config.overrides import parse_overrides

    extra = parse_overrides(args.set)
    found = []
    recipes = RECIPES[args.domain]
    for objective in args.objectives or recipes:
        pretraining = {**COMMON, **recipes.get(objective, {}), "scale": args.scale}
        if args.steps is not None:
            pretraining["trainer.max_steps"] = args.steps
        for seed in range(args.seeds):
            for protocol in args.protocols:
                for draw in range(1 if protocol == "linear" else args.draws):
                    evaluation = {} if protocol == "linear" else {"labels.count": args.labels, "labels.draw": draw}
                    if protocol == "finetune":
                        evaluation |= {**FINETUNE, "finetune.steps": args.finetune_steps}
                    found.append(
                        Case(source_of(args), objective, seed, protocol, {**pretraining, **extra}, evaluation, data_id)
                    )
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
        api.pretrain(**case.source, objective=case.objective, seed=case.seed, run=folder, overrides=case.pretraining)
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
        labels=case.source.get("labels"),
        data=case.source.get("data", ()),
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
    from ssl_platform.transfer.comparison_text import figure
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


def write_page(page: Path, name: str, text: str) -> None:
    """Put the table between the marks of `name`; without them, at the page's end under a heading."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    old = page.read_text(encoding="utf-8") if page.exists() else "# Results\n"
    if begin not in old:
        old = f"{old.rstrip()}\n\n## {name}\n\n{begin}{end}\n"
    head, _, rest = old.partition(begin)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{head}{begin}{text}{end}{rest.partition(end)[2]}", encoding="utf-8")


def _without_folder(words: Sequence[str]) -> list[str]:
    """The arguments that decide numbers, of paths their last part: where rows are kept is not one of them."""
    kept = list(words)
    for option in {"--out", "--page"} & set(kept):
        at = kept.index(option)
        del kept[at : at + 2]
    return [Path(word).name if "/" in word else word for word in kept]


def _settings(case: Case) -> str:
    """The objective and what it was trained with."""
    named = (f"{key}={value}" for key, value in case.pretraining.items() if key not in (*COMMON, "scale"))
    return f"{case.objective} ({', '.join(named) or 'defaults'})"


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", default="medical3d", choices=list(RECIPES))
    parser.add_argument("--data", type=Path, help="instead of the domain's sample set")
    parser.add_argument("--labels-file", type=Path, help="labels of --data")
    parser.add_argument("--objectives", nargs="+", metavar="NAME", help="instead of the domain's recipes")
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

    data_id = identity(source_of(args))
    wanted = cases(args, data_id)
    rows = []
    for number, case in enumerate(wanted, 1):
        print(f"--- {number} of {len(wanted)}: {case.objective}, seed {case.seed}, {case.protocol}", flush=True)
        rows.append(measured(case, args.out))
    settings = "; ".join(_settings(case) for case in {case.objective: case for case in wanted}.values())
    what = f"{args.data.name} ({args.domain})" if args.data else f"the sample set of {args.domain}"
    command = shlex.join(["python", "benchmarks/results.py", *_without_folder(given)])
    text = (
        f"Made by `{command}`: {what} (data {data_id}), {settings}, "
        f"{args.seeds} seeds. Means over seeds; the difference is paired by seed, its interval is Student's over "
        f"pretraining seeds. `random init` is the same architecture with random weights under the same protocol, with "
        f"the same labels, drawn {args.draws} times where there are few; fine-tuning picks its step on the validation "
        f"items.\n\n{table(rows, args.labels)}"
    )
    write_page(args.page, f"{args.domain} {args.data.name}" if args.data else args.domain, text)
    print(table(rows, args.labels))
    print(f"table {args.page}")


if __name__ == "__main__":
    main()
