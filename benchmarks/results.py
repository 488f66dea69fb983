"""Does pretraining help? Six domains, five encoders, three ways of using them; writes the tables of docs/results.md.

    python benchmarks/results.py                       # everything, three seeds; run it again to go on where it stopped
    python benchmarks/results.py --seeds 1             # a third of it
    python benchmarks/results.py --real DATA           # also the real sets that are found in the folder DATA
    python benchmarks/results.py --only audio video    # some of it

An encoder is random, trained from scratch with all labels, or pretrained without labels by a masked autoencoder, by
DINO, or by a third objective chosen for its domain. Each is measured on the test items by a kNN vote and a linear probe
on its frozen features, with all labels of the training items, and by fine-tuning with a tenth of them (drawn twice).
Sample sets are written where they are not there yet. A row is kept by the hash of all that decides it; what was
interrupted is resumed, and only what is missing is computed. Real sets, below DATA: audio/fsdd,
multispectral/sentinel2, medical3d/hippocampus; what simple methods without a network reach stands beside them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is missing and write the tables; returns the exit code."""
    from results_plan import STUDIES, arms

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of pretraining, random weights and labels")
    parser.add_argument("--real", type=Path, metavar="DATA", help="folder of real sets")
    parser.add_argument("--only", nargs="+", choices=list(STUDIES), metavar="SET", help="these sets")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes of one thread")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="runs and rows")
    parser.add_argument(
        "--page", type=Path, default=ROOT / "docs" / "results.md", help="page the tables are written to"
    )
    args = parser.parse_args(words)
    out = args.out.resolve()
    named = args.only or [name for name, study in STUDIES.items() if not study.data or args.real]
    sources = {name: source_of(name, args.real, out) for name in named}
    contents = {name: identity(name, source) for name, source in sources.items()}
    wanted = arms(named, args.seeds, contents)
    rows, failed = measure(wanted, sources, out, args.jobs)
    if rows:
        tables(rows, sources, contents, args, out)
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed else 0


def measure(wanted: Sequence[Any], sources: dict[str, Any], out: Path, jobs: int) -> tuple[list[Any], list[str]]:
    """Rows of the arms, and a line for each that failed."""
    rows: list[Any] = []
    failed: list[str] = []
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_quiet) as pool:
        waiting = {pool.submit(_measured, arm, sources[arm.study], out): arm for arm in wanted}
        for done in as_completed(waiting):
            arm = waiting[done]
            try:
                rows.append(done.result())
            except Exception as error:
                failed.append(f"{arm.study}, {arm.encoder}, seed {arm.seed}: {error}")
            passed = time.monotonic() - began
            ended = len(rows) + len(failed)
            left = passed / ended * (len(wanted) - ended) / 60
            print(
                f"{ended} of {len(wanted)}  {arm.study}, {arm.encoder}, seed {arm.seed}  "
                f"{passed / 60:.0f} min, about {left:.0f} min left",
                flush=True,
            )
    return rows, failed


def _quiet() -> None:
    """Workers take one thread each and keep their commands' lines to themselves."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the process' life


def _measured(arm: Any, source: dict[str, Any], out: Path) -> dict[str, Any]:
    from results_arms import measured

    return measured(arm, source, out)


def source_of(name: str, real: Path | None, out: Path) -> dict[str, Any]:
    """Where a study's data is; empty for the sample set.

    Raises:
        SystemExit: a real set was asked for and is not there.
    """
    from results_data import source
    from results_plan import STUDIES

    data = STUDIES[name].data
    if not data:
        return {}
    if real is None or not (real / data).is_dir():
        raise SystemExit(f"{name}: needs --real DATA with the folder DATA/{data}")
    return source(data, real.resolve(), out / "real")


def identity(name: str, source: dict[str, Any]) -> str:
    """Id of a study's data; a sample set is written where it is not there yet."""
    from results_plan import STUDIES

    from ssl_platform.configure import configure
    from ssl_platform.opening import open_data

    config = configure("probe", domain=STUDIES[name].domain, task=STUDIES[name].task, **source)
    return open_data(config, out=sys.stderr).catalog.id


def tables(rows: Any, sources: dict[str, Any], contents: dict[str, str], args: argparse.Namespace, out: Path) -> None:
    """Write the page and a JSON file of everything on it."""
    from results_baselines import baselines
    from results_plan import STUDIES
    from results_table import page, write

    simple = {name: baselines(STUDIES[name], s["manifest"]) for name, s in sources.items() if s}
    about = {}
    for name in sources:
        study = STUDIES[name]
        what = f"Real data, `{study.data}`" if study.data else "The built-in sample set"
        about[name] = (
            f"{what} (data {contents[name]}); views of {' x '.join(map(str, study.size))}, "
            f"{study.finetune} steps of fine-tuning, {study.draws} draws of the few labels."
        )
    write(args.page, page(rows, simple, about))
    kept = {"rows": sorted(rows, key=lambda r: (r["study"], r["encoder"], r["seed"])), "baselines": simple}
    (out / "results.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    print(f"tables {args.page}")


if __name__ == "__main__":
    sys.exit(main())
