"""`analyze`: what a representation knows, beside the same net with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_platform.analysis import alike, record
from ssl_platform.analysis.catalogue import ANALYSES, CKA, Analysis, chosen
from ssl_platform.analysis.looks import look
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.record import Row, beside
from ssl_platform.analysis.subject import Subject, evenly
from ssl_platform.analysis.table import tables
from ssl_platform.analysis.transformed import effective, transformations
from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError, DataError, RunFailed
from ssl_platform.train.run import RunFolder
from ssl_platform.transfer.evaluation import as_result
from ssl_platform.transfer.opening import RANDOM, open_transfer, untrained_like
from ssl_platform.transfer.running import running
from ssl_platform.types import Metric

_LOOKED = 16  # items, to see which operations change anything


def analyze(config: RunConfig, encoders: Sequence[str]) -> dict[str, Any]:
    """Analyse encoders on the same data and write `analysis.json`.

    Args:
        config: names the data, labels where there are any, and the limits `analyze.*`.
        encoders: runs (`RUN`, `RUN@STEP`), encoder files or `random`.

    Returns:
        What `result.json` holds; metrics are those of the encoders' outputs, named `encoder: measure`.

    Raises:
        UsageError: found before anything is computed.
    """
    wanted = chosen(config.analyze.measures)
    subjects = [_open(config, name, path) for name, path in named(encoders).items()]
    if len(subjects) > 1:
        alike.check_same(subjects)
    first = subjects[0].opened
    with running("analyze", first.config) as folder:
        for line in first.lines:
            folder.say(line)
        first.data.write(folder.path, first.codes)
        untrained = [_untrained(subject, number) for number, subject in enumerate(subjects)]
        rows: list[Row] = []
        unfit: dict[str, dict[str, str]] = {}
        for subject, random in zip(subjects, untrained, strict=True):
            fit, unfit[subject.name] = _fitting(subject, wanted)
            for name, why in unfit[subject.name].items():
                folder.say(f"{subject.name}: no {name}: {why}")
            own, other = (_readings(s, fit) if s is not None else [] for s in (subject, random))
            rows += beside(subject.name, own, other)
        if CKA in wanted:
            rows += _alike(subjects, untrained)
        _finish(folder, subjects, rows, unfit)
    return folder.result


def named(encoders: Sequence[str]) -> dict[str, str]:
    """Encoders by a short name: the last word of their path, or the whole of it where that is not unique.

    Raises:
        ConfigError: none is named, or one twice.
    """
    if not encoders:
        raise ConfigError("name an encoder with --encoder RUN_OR_FILE (or random)")
    for path in encoders:
        if list(encoders).count(path) > 1:
            raise ConfigError(f"--encoder {path} is given twice: name each encoder once")
    short = [Path(path).parent.name if Path(path).suffix == ".safetensors" else Path(path).name for path in encoders]
    return {name if name and short.count(name) == 1 else path: path for name, path in zip(short, encoders, strict=True)}


def _open(config: RunConfig, name: str, path: str) -> Subject:
    """An encoder with the data in the form it takes; labels of items where there are any."""
    own = config.model_copy(deep=True)
    own.encoder = path
    subject = Subject.of(name, open_transfer(own, labels=None))
    try:
        batch = next(subject.batches(evenly(subject.rows, _LOOKED), None))
    except RunFailed as error:
        raise DataError(str(error)) from error
    changes = effective(subject.opened, transformations(subject.opened), batch)
    return Subject(name, subject.opened, subject.encoder, changes)


def _untrained(subject: Subject, number: int) -> Subject | None:
    """The same with random weights of their own."""
    if subject.opened.config.encoder == RANDOM:
        return None
    return subject.beside(untrained_like(subject.encoder, subject.opened.config.seed + number), "random weights")


def _fitting(subject: Subject, wanted: Sequence[str]) -> tuple[list[Analysis], dict[str, str]]:
    """The analyses that fit, and why others do not."""
    fit, unfit = [], {}
    for analysis in ANALYSES:
        if analysis.name not in wanted:
            continue
        if why := analysis.unfit(subject):
            unfit[analysis.name] = why
        else:
            fit.append(analysis)
    return fit, unfit


def _readings(subject: Subject, analyses: Sequence[Analysis]) -> list[Reading]:
    """What all analyses answer, in their order."""
    found: dict[str, list[Reading]] = {}
    looked = [(a.name, a.collect(subject)) for a in analyses if a.collect is not None]
    if looked:
        answers = look(subject, [collector for _, collector in looked])
        found = {name: readings for (name, _), readings in zip(looked, answers, strict=True)}
    found |= {a.name: a.run(subject) for a in analyses if a.run is not None}
    return [reading for a in analyses for reading in found[a.name]]


def _alike(subjects: Sequence[Subject], untrained: Sequence[Subject | None]) -> list[Row]:
    """CKA of each pair beside that of their random weights, and of each encoder with its own random weights."""
    everyone = [*subjects, *(s for s in untrained if s is not None)]
    place = {id(s): number for number, s in enumerate(everyone)}
    couples: list[tuple[str, tuple[int, int], tuple[int, int] | None]] = []
    for number, (subject, random) in enumerate(zip(subjects, untrained, strict=True)):
        if random is not None:
            couples.append((f"{subject.name} ~ {record.OWN_RANDOM}", (place[id(subject)], place[id(random)]), None))
        for other, its in list(zip(subjects, untrained, strict=True))[number + 1 :]:
            both = (place[id(random)], place[id(its)]) if random is not None and its is not None else None
            couples.append((f"{subject.name} ~ {other.name}", (place[id(subject)], place[id(other)]), both))
    if not couples:
        return []
    wanted = list(dict.fromkeys(pair for _, *pairs in couples for pair in pairs if pair is not None))
    found = {pair: one.readings() for pair, one in zip(wanted, alike.compare(everyone, wanted), strict=True)}
    rows = []
    for name, pair, both in couples:
        rows += beside(name, found[pair], found[both] if both is not None else ())
    return rows


def _finish(
    folder: RunFolder, subjects: Sequence[Subject], rows: Sequence[Row], unfit: dict[str, dict[str, str]]
) -> None:
    """Write and say everything."""
    for table in tables(rows):
        for line in table.text():
            folder.say(line)
    for subject in subjects:
        for line in subject.opened.left_out():
            folder.say(f"{subject.name}: {line}")
    first = subjects[0].opened
    about = {
        "encoders": {s.name: _about(s) for s in subjects},
        "domain": first.config.domain,
        "data_id": first.data.catalog.id,
        "split_id": first.data.splits.id or None,
        "items": len(subjects[0].rows),
        "limits": first.config.analyze.model_dump(mode="json"),
        "seed": first.config.seed,
    }
    path = record.write(folder.path, about, rows, unfit)
    outputs = [row for row in rows if row.reading.kind == "output" and row.reading.value is not None]
    metrics = {f"{row.encoder}: {row.reading.measure}": _metric(row.reading) for row in outputs}
    randoms = {
        f"{row.encoder}: {row.reading.measure}": as_result({"random": _metric(row.random)})
        for row in outputs
        if row.random is not None and row.random.value is not None
    }
    folder.update(
        metrics=as_result(metrics),
        baselines=randoms,
        data_id=about["data_id"],
        split_id=about["split_id"],
        encoder=", ".join(str(s.opened.config.encoder) for s in subjects),
        quarantined=len(first.data.quarantined) + len(first.unread),
        paths={"run": str(folder.path), "analysis": str(path)},
    )
    folder.echo(f"analysis {path}")


def _metric(reading: Reading) -> Metric:
    assert reading.value is not None
    return Metric(reading.value, reading.ci95, "groups" if reading.ci95 else None)


def _about(subject: Subject) -> dict[str, Any]:
    """Where an encoder comes from."""
    trained = subject.encoder.record
    return {
        "encoder": subject.opened.config.encoder,
        "objective": trained.objective,
        "step": trained.step,
        "backbone": trained.backbone.name,
        "window": list(subject.opened.window),
    }
