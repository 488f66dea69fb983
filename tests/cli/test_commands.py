"""Every command hands what it was given to the Python API."""

from __future__ import annotations

from typing import Any

import click
import pytest

from ssl_platform import api
from ssl_platform.cli.main import COMMANDS, app, main

CALLS = {
    "probe --encoder a --data b --labels c --protocol knn,linear --task t --run d seed=1": (
        "probe",
        {
            "encoder": "a",
            "data": ("b",),
            "labels": "c",
            "manifest": None,
            "protocol": "knn,linear",
            "task": "t",
            "run": "d",
            "overrides": {"seed": 1},
        },
    ),
    "finetune --encoder random --manifest m labels.fraction=0.1": (
        "finetune",
        {
            "encoder": "random",
            "data": (),
            "labels": None,
            "manifest": "m",
            "task": None,
            "run": None,
            "resume": False,
            "overrides": {"labels.fraction": 0.1},
        },
    ),
    "predict --model a --data b --data c --out d": (
        "predict",
        {"model": "a", "data": ("b", "c"), "labels": None, "manifest": None, "out": "d", "overrides": {}},
    ),
    "embed --encoder a --out b --level token": (
        "embed",
        {
            "encoder": "a",
            "data": (),
            "labels": None,
            "manifest": None,
            "out": "b",
            "level": "token",
            "overrides": {},
        },
    ),
    "compare a b --labels c optim.lr=1e-3": (
        "compare",
        {"runs": ["a", "b"], "labels": "c", "protocol": None, "out": None, "overrides": {"optim.lr": 1e-3}},
    ),
    "export --encoder a --out b": ("export", {"encoder": "a", "model": None, "format": "torch", "out": "b"}),
    "analyze --encoder a --encoder b --data c --run d analyze.items=9": (
        "analyze",
        {
            "encoder": ("a", "b"),
            "data": ("c",),
            "labels": None,
            "manifest": None,
            "run": "d",
            "overrides": {"analyze.items": 9},
        },
    ),
    "report a --anonymous": ("report", {"run": "a", "anonymous": True}),
    "scan a b --labels c seed=2": (
        "scan",
        {"data": ["a", "b"], "domain": None, "manifest": None, "labels": "c", "out": None, "overrides": {"seed": 2}},
    ),
}


DATA = {"--data", "--manifest", "--labels"}
OPTIONS = {
    "scan": {"--domain", "--manifest", "--labels", "--out"},
    "prepare": {"--domain", "--manifest", "--labels", "--out", "--shard-size", "--exact"},
    "cache": {"--json"},
    "datasets": {"--json", "--out", "--quick"},
    "pretrain": DATA
    | {"--domain", "--objective", "--backbone", "--init", "--config", "--run", "--resume", "--seed", "--dry-run"}
    | {"--print-config"},
    "finetune": DATA | {"--encoder", "--task", "--run", "--resume"},
    "probe": DATA | {"--encoder", "--protocol", "--task", "--run"},
    "compare": {"--labels", "--protocol", "--out"},
    "analyze": DATA | {"--encoder", "--run"},
    "embed": DATA | {"--encoder", "--out", "--level"},
    "predict": DATA | {"--model", "--out"},
    "export": {"--encoder", "--model", "--format", "--out"},
    "report": {"--anonymous"},
    "domains": {"--json"},
    "objectives": {"--domain", "--matrix", "--json"},
    "recipes": {"--json"},
    "plugins": {"--requirements", "--all", "--expect", "--matrix", "--json"},
    "new-plugin": {"--into", "--kind"},
    "doctor": {"--json"},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_only_those_words(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    words = {word for parameter in command.params for word in parameter.opts if word.startswith("--")}
    assert words - {"--debug", "--disable-plugin", "--help"} == OPTIONS[name], "everything else is a dotted key"


@pytest.mark.parametrize("words", CALLS)
def test_words_reach_the_api(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, expected = CALLS[words]
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(api, name, lambda **given: calls.append(given))
    assert main(words.split()) == 0
    assert calls == [expected]
