"""The Python API: the commands as functions that raise instead of exiting, and everything a plugin author may import.

Importing this module imports nothing heavy; names below are imported on first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.api_arguments import Paths, configuration, split
from ssl_platform.api_data import prepare as prepare
from ssl_platform.api_data import scan as scan
from ssl_platform.authoring import AUTHORING

if TYPE_CHECKING:
    from ssl_platform.authoring import *  # noqa: F403 - the names `__getattr__` serves, with their types
    from ssl_platform.config.schema import RunConfig

COMMANDS = (
    "pretrain",
    "probe",
    "finetune",
    "predict",
    "embed",
    "compare",
    "analyze",
    "export",
    "report",
    "scan",
    "prepare",
    "load_encoder",
)

__all__ = [*COMMANDS, *AUTHORING]


def __getattr__(name: str) -> Any:
    if name in AUTHORING:
        return getattr(importlib.import_module(AUTHORING[name]), name)
    raise AttributeError(f"module 'ssl_platform.api' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def pretrain(
    *,
    domain: str | None = None,
    data: Paths = (),
    manifest: str | Path | None = None,
    labels: str | Path | None = None,
    objective: str | None = None,
    backbone: str | None = None,
    init: str | Path | None = None,
    config: str | Path | Sequence[str | Path] = (),
    run: str | Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Pretrain an encoder.

    Args:
        domain: kind of data, e.g. `medical3d`.
        data: files, folders, globs; the domain's sample data when empty.
        manifest: table with data and facts.
        labels: where labels come from; used by the kNN monitor and objectives that need them only.
        objective, backbone: by name; the domain's defaults when None.
        init: run or encoder file to start from.
        config: recipe files or names of shipped recipes.
        run: run folder; `runs/<domain>-<objective>-<time>` when None.
        resume: continue the run in `run`.
        seed: of every draw.
        dry_run: say what would be done, after one real step, and stop.
        overrides: dotted keys, e.g. `{"optim.lr": 1e-3}`.
        settings: sections, e.g. `trainer={"max_steps": 50}`.

    Returns:
        What `result.json` holds.

    Raises:
        UsageError: found before the first step.
        RunFailed: after it.
    """
    chosen = pretrain_config(
        domain=domain,
        data=data,
        manifest=manifest,
        labels=labels,
        objective=objective,
        backbone=backbone,
        init=init,
        config=config,
        run=run,
        resume=resume,
        seed=seed,
        overrides=overrides,
        **settings,
    )
    from ssl_platform.report.run_end import after_training
    from ssl_platform.train.pretrain import pretrain as train

    return train(chosen, resume=resume, dry_run=dry_run, at_end=after_training)


def pretrain_config(
    *,
    config: str | Path | Sequence[str | Path] = (),
    run: str | Path | None = None,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    **options: Any,
) -> RunConfig:
    """The resolved configuration `pretrain` would run, without importing torch. Takes what `pretrain` takes."""
    from ssl_platform.configure import configure, for_pretraining, resumed
    from ssl_platform.errors import UsageError

    recipes = [str(recipe) for recipe in ([config] if isinstance(config, str | Path) else config)]
    words, settings = split(options)
    given: dict[str, Any] = {"settings": settings, "overrides": overrides, **words}
    if resume:
        if run is None:
            raise UsageError("--resume needs --run DIR, the folder of the run to continue")
        return for_pretraining(resumed(str(run), recipes, **given))
    return for_pretraining(configure("pretrain", recipes=recipes, run=run, **given))


def probe(
    *,
    encoder: str | Path,
    data: Paths = (),
    manifest: str | Path | None = None,
    labels: str | Path | None = None,
    protocol: str | Sequence[str] | None = None,
    task: str | None = None,
    domain: str | None = None,
    run: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Evaluate an encoder under protocols that do not change it.

    Args:
        encoder: run (`RUN`, `RUN@STEP`), encoder file, or `random`.
        data, manifest, labels: what it is evaluated on; the sample set of the domain when empty.
        protocol: names, or one text separated by commas: `knn,linear`.
        task: the downstream task, where the labels leave it open.
        domain: with `encoder="random"`.
        run: folder of the evaluation.
        overrides, settings: as in `pretrain`.

    Returns:
        What `result.json` holds; metrics are named `protocol/metric`.
    """
    given = locals()
    from ssl_platform.report.run_end import after_evaluation, pictures_of
    from ssl_platform.transfer.probe import probe as evaluate

    result = evaluate(configuration("probe", given), at_end=pictures_of)
    after_evaluation(result)
    return result


def finetune(
    *,
    encoder: str | Path,
    data: Paths = (),
    manifest: str | Path | None = None,
    labels: str | Path | None = None,
    task: str | None = None,
    domain: str | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train a model for a task from an encoder. Takes what `probe` takes, besides the protocol.

    Args:
        resume: go on with the run in `run` that was stopped; it ends as if it had not been.
    """
    given = locals()
    from ssl_platform.report.run_end import after_evaluation, pictures_of
    from ssl_platform.transfer.finetune import finetune as train

    result = train(configuration("finetune", given), resume=resume, at_end=pictures_of)
    after_evaluation(result)
    return result


def predict(
    *,
    model: str | Path,
    out: str | Path,
    data: Paths = (),
    manifest: str | Path | None = None,
    labels: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Apply a finetuned model; dense predictions are written in the source's own geometry.

    Args:
        model: run folder of `finetune`.
        out: folder that is written.
        data, manifest: what it is applied to.
        labels: with labels, predictions are scored.
        overrides, settings: as in `pretrain`.
    """
    given = locals()
    from ssl_platform.report.run_end import after_evaluation, pictures_of_predictions
    from ssl_platform.transfer.predict import predict as apply

    chosen = configuration("predict", given)
    result = apply(chosen, model=str(model), out=Path(out), at_end=pictures_of_predictions)
    after_evaluation(result)
    return result


def embed(
    *,
    encoder: str | Path,
    out: str | Path,
    data: Paths = (),
    manifest: str | Path | None = None,
    labels: str | Path | None = None,
    level: str = "item",
    domain: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Write embeddings as Parquet.

    Args:
        encoder: run, encoder file, or `random`.
        out: file that is written.
        level: one row an `item`, a `window` or a `token`.
        data, manifest, labels, domain, overrides, settings: as in `probe`.
    """
    given = locals()
    from ssl_platform.transfer.embed import embed as write

    return write(configuration("embed", given), out=Path(out), level=level)


def compare(
    *,
    runs: Sequence[str | Path],
    labels: str | Path | None = None,
    protocol: str | Sequence[str] | None = None,
    data: Paths = (),
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Tabulate finished evaluations; with labels, run the missing ones under the same protocol.

    Args:
        runs: run folders; those that differ in seeds only are one row.
        labels, protocol, data, overrides, settings: as in `probe`.
        out: file the table is written to as well: `.md`, `.csv` or `.html`.
    """
    given = locals()
    from ssl_platform.report.run_end import after_comparison, check_out
    from ssl_platform.transfer.compare import compare as tabulate

    place = None if out is None else check_out(Path(out))
    result = tabulate(configuration("compare", given), runs=[str(run) for run in runs])
    after_comparison(result, place)
    return result


def analyze(
    *,
    encoder: str | Path | Sequence[str | Path],
    data: Paths = (),
    manifest: str | Path | None = None,
    labels: str | Path | None = None,
    domain: str | None = None,
    run: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Say what a representation knows, beside the same net with random weights, in `analysis.json`.

    Args:
        encoder: one or several of run (`RUN`, `RUN@STEP`), encoder file or `random`; several are compared too.
        data, manifest: what it is analysed on; the sample set of the domain when empty.
        labels: labels of items, for what needs them; may be left out.
        domain: with `encoder="random"`.
        run: folder of the analysis.
        overrides, settings: as in `pretrain`.

    Returns:
        What `result.json` holds; metrics are named `encoder: measure`.
    """
    given = {key: value for key, value in locals().items() if key != "encoder"}
    from ssl_platform.analysis.analyze import analyze as look
    from ssl_platform.report.run_end import after_evaluation

    encoders = [str(one) for one in ([encoder] if isinstance(encoder, str | Path) else encoder)]
    result = look(configuration("analyze", given), encoders)
    after_evaluation(result)
    return result


def export(
    *, out: str | Path, encoder: str | Path | None = None, model: str | Path | None = None, format: str = "torch"
) -> dict[str, Any]:
    """Write an encoder or a model for use elsewhere.

    Args:
        out: what is written.
        encoder: run or encoder file; or
        model: run folder of `finetune`.
        format: `torch` or `onnx`, which need nothing else to run; `timm` for a vit of rank 2, `monai` for its own
            encoders, `nnunet` for `nnunet:*` backbones.
    """
    from ssl_platform.errors import UsageError

    if (encoder is None) == (model is None):
        raise UsageError("export needs either --encoder or --model")
    from ssl_platform.transfer.export import export as write

    source = {"encoder": None if encoder is None else str(encoder), "model": None if model is None else str(model)}
    return write(**source, format=format, out=Path(out))


def report(*, run: str | Path, anonymous: bool = False) -> Path:
    """Write a run's self-contained page and return its path.

    Args:
        run: run folder.
        anonymous: without paths, names and pictures.
    """
    from ssl_platform.report.run_end import report as write

    return write(Path(run), anonymous=anonymous)


def load_encoder(path: str | Path) -> Any:
    """An encoder for use in other code: `enc.preprocess(array, spacing=...)`, then `enc(x) -> Features`.

    Args:
        path: run (`RUN`, `RUN@STEP`) or encoder file.
    """
    from ssl_platform.encoder import load_encoder as load

    return load(path)
