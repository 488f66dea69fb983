"""Writes docs/objectives.md from what the objectives declare and the costs that benchmarks/objective_cost.py measured.

python docs/objectives_page.py            write it
python docs/objectives_page.py --check    exit 1 when it is stale
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from ssl_platform.cli.matrix import pairs
from ssl_platform.cli.objectives import needs_words
from ssl_platform.nn.bank import Bank, Queue
from ssl_platform.nn.ema import Ema
from ssl_platform.nn.frozen import Frozen
from ssl_platform.nn.norm import GlobalBatchNorm
from ssl_platform.objectives.manifest import core_objectives, record_of
from ssl_platform.testing.objectives import built

PAGE = Path(__file__).with_name("objectives.md")
COSTS = Path(__file__).with_name("objective_costs.json")
HEAD = """# Objectives

Every objective runs in every domain that offers what it needs: `ssl-platform pretrain --domain D --objective NAME`.
`ssl-platform objectives show NAME` prints its settings; `configs/objectives/NAME.yaml` holds the published ones
(`--config objectives/NAME --domain D`), `scale=auto` fits them to a small run and prints each change.

- **needs**: views, and what backbone and data must offer.
- **unfit**: domains whose default backbone or data lack something; `ssl-platform objectives --matrix` says what.
- **state**: what is saved beside weights and optimiser.
- **cost**: seconds of a step over those of `mae` on the same data, encoder and batch ({where}); passes over the whole
  set are not counted.

All losses are exact under data parallelism: N processes have the gradient of one (tested in float64 for every row).
"""


def page() -> str:
    """The page as Markdown."""
    costs = json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.exists() else {"where": "not measured", "cost": {}}
    unfit: dict[str, list[str]] = {}
    for pair in pairs():
        unfit.setdefault(pair["objective"], [])
        if not pair["fits"]:
            unfit[pair["objective"]].append(pair["domain"])
    lines = [HEAD.format(where=costs["where"])]
    records = sorted((record_of(kind) for kind in core_objectives()), key=lambda r: (r["family"], r["name"]))
    family = ""
    for record in records:
        if record["family"] != family:
            family = record["family"]
            lines += [
                f"\n## {family}\n",
                "| name | what it does | paper | needs | unfit | state | cost |",
                "|---" * 7 + "|",
            ]
        cost = costs["cost"].get(record["name"])
        cells = (
            f"`{record['name']}`",
            record["summary"],
            record["paper"],
            ", ".join(needs_words(record["needs"])),
            ", ".join(unfit[record["name"]]) or "-",
            ", ".join(state(record["name"])) or "-",
            "-" if cost is None else f"{cost:.2f}",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def state(name: str) -> Iterator[str]:
    """What an objective keeps beside weights that are trained, in words."""
    method, _ = built(name, channels=2)
    words: dict[str, None] = {}
    known: list[nn.Module] = []
    for path, module in method.named_modules():
        if any(module is inner for outer in known for inner in outer.modules()):
            continue
        word = _word(path, module)
        if word:
            words[word] = None
            known.append(module)
    inside = {id(b) for module in known for b in module.buffers()}
    for path, buffer in method.named_buffers():
        if id(buffer) not in inside:
            words[path.rsplit(".", 1)[-1].replace("_", " ")] = None
    yield from words


def _word(path: str, module: nn.Module) -> str:
    if isinstance(module, Ema):
        return "EMA teacher"
    if isinstance(module, Queue):
        return "queue"
    if isinstance(module, Bank):
        return "bank"
    if isinstance(module, Frozen):
        return f"fingerprint of the given {path.rsplit('.', 1)[-1]}"
    return "batch statistics" if isinstance(module, GlobalBatchNorm | nn.modules.batchnorm._BatchNorm) else ""


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it is stale; returns the exit code."""
    text = page()
    if "--check" in arguments:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
