"""`compare`: finished evaluations side by side, or encoders measured under the same protocols beside random weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_platform import encoder as encoder_files
from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError, UsageError
from ssl_platform.train.run import RunFolder, read_config, read_result
from ssl_platform.transfer.cells import Cells, check_protocols
from ssl_platform.transfer.comparison import Cost, Table, tabulated
from ssl_platform.transfer.comparison_text import aligned, figure, write_tables
from ssl_platform.transfer.costs import pretraining
from ssl_platform.transfer.evaluation import as_result
from ssl_platform.transfer.finished import names_of, same, tabulate
from ssl_platform.transfer.opening import RANDOM, Opened, open_transfer
from ssl_platform.transfer.probe import DEFAULT
from ssl_platform.transfer.repeats import Cell
from ssl_platform.transfer.running import running


def compare(config: RunConfig, runs: Sequence[str]) -> dict[str, Any]:
    """Put runs side by side.

    Without labels, the metrics that finished runs of `probe`, `finetune` and `pretrain` hold. With labels (or data, or
    `compare.seeds`), every encoder is measured anew under the same protocols, beside its own architecture with random
    weights: `random` for frozen features, `scratch` for fine-tuning. Intervals are over groups for one seed and over
    evaluation seeds for several; differences are paired.

    Args:
        config: labels, data, protocols and `compare.seeds`. Without data, that of the runs themselves.
        runs: run folders or encoder files; the word `random` stands for the baseline, which is always there.

    Returns:
        What `result.json` holds; metrics are named `run: protocol/metric`.

    Raises:
        UsageError: the runs cannot be compared; found before anything is computed.
    """
    named = list(dict.fromkeys(str(run) for run in runs if run != RANDOM)) or [RANDOM]
    check_protocols(config.protocol)
    if not _measures(config):
        if named == [RANDOM]:
            raise UsageError("compare random: name a run to compare it with, or give --labels to measure it")
        table = tabulate(named, config.protocol)
        table.about["measured"] = False
        results = [read_config(Path(run)) or {} for run in named]
        domain = config.domain or next((str(r["domain"]) for r in results if r.get("domain")), "all")
        with running("compare", config, name=domain) as folder:
            _finish(folder, table)
        return _told(folder)
    return _measured(config, named)


def _measures(config: RunConfig) -> bool:
    """Whether encoders are measured: something about how was asked."""
    data = config.data.paths or config.data.manifest
    return bool(config.labels.source is not None or data or config.given("compare.seeds"))


def _measured(config: RunConfig, named: list[str]) -> dict[str, Any]:
    encoders = [_encoder_of(run) for run in named]
    line = _take_data(config, named)
    opened = {name: _open(config, path) for name, path in zip(names_of(named), encoders, strict=True)}
    ids = {
        "data_id": same({n: {"data_id": o.data.catalog.id} for n, o in opened.items()}, "data_id", "other data"),
        "split_id": same({n: {"split_id": o.data.splits.id} for n, o in opened.items()}, "split_id", "another split"),
    }
    protocols = config.protocol or list(DEFAULT)
    first = next(iter(opened.values()))
    with running("compare", config, name=str(first.config.domain)) as folder:
        for told in [line, *first.lines, *(f"{name}: {o.overlap()}" for name, o in opened.items())]:
            folder.say(told)
        measure = Cells(protocols, range(config.seed, config.seed + config.compare.seeds), folder.log)
        cells: list[Cell] = []
        costs: list[Cost] = []
        for name, path in zip(list(opened), encoders, strict=True):
            one = opened.pop(name)  # an encoder at a time is kept
            began = time.monotonic()
            for cell in measure.cells(name, one):
                cells.append(cell)
                folder.log(f"{name}  {cell.metric}  {figure(cell.summary())}")
            before = pretraining(path)
            size = sum(p.numel() for p in one.encoder.model.parameters())
            costs.append(Cost(name, size, before.get("steps"), before.get("seconds"), None, time.monotonic() - began))
            for told in one.left_out():
                folder.say(f"{name}: {told}")
        about = {
            **ids,
            "measured": True,
            "seeds": config.compare.seeds,
            "labels_fraction": config.labels.fraction,
            "labels_count": config.labels.count,
            "labels_draw": config.labels.draw,
        }
        _finish(folder, tabulated(cells, costs, about))
    return _told(folder)


def _finish(folder: RunFolder, table: Table) -> None:
    for line in (*aligned(table.rows), *table.notes):
        folder.say(line)
    paths = write_tables(folder.path, table)
    folder.update(
        metrics=as_result({f"{row.run}: {row.metric}": row.value for row in table.rows}),
        baselines={
            f"{row.run}: {row.metric}": as_result({row.baseline: row.beside})
            for row in table.rows
            if row.beside is not None
        },
        paths={"run": str(folder.path), **paths},
        **table.as_dict(),
    )


def _told(folder: RunFolder) -> dict[str, Any]:
    """The result, once the last line says where the table is."""
    folder.echo(f"table {folder.result['paths']['markdown']}")
    return folder.result


def _encoder_of(run: str) -> str:
    """The encoder a run stands for: its own, or the one an evaluation was of."""
    if run == RANDOM:
        return run
    result = read_result(Path(run).expanduser()) or {}
    if result.get("command") in ("probe", "finetune") and result.get("encoder"):
        run = str(result["encoder"])
    if run != RANDOM:
        encoder_files.locate(run)
    return run


def _take_data(config: RunConfig, named: list[str]) -> str:
    """Without data of its own, a comparison is on the data of the runs.

    Raises:
        ConfigError: they have different data.
    """
    if config.data.paths or config.data.manifest:
        return "data: as given"
    found: dict[str, tuple[list[str], str | None]] = {}
    for run in named:
        data = (read_config(Path(run).expanduser()) or {}).get("data")
        if isinstance(data, dict):
            found[run] = (list(data.get("paths") or []), data.get("manifest"))
    if not found:
        return "data: the runs name none"
    (first, (paths, manifest)), *others = found.items()
    for other, its in others:
        if its != (paths, manifest):
            raise ConfigError(f"{first} and {other} have different data: name what to measure on with data.paths=[...]")
    if paths:
        config.resolve("data.paths", paths, f"of {first}")
    if manifest:
        config.resolve("data.manifest", manifest, f"of {first}")
    return f"data: that of {first}"


def _open(config: RunConfig, encoder: str) -> Opened:
    own = config.model_copy(deep=True)
    own.encoder = encoder
    return open_transfer(own)
