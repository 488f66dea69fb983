"""Plugins that bring objectives only are tried on toy domains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform.testing.conformance import Outcome

CODE = '''
import torch
from torch import nn
from ssl_platform.api import Export, Objective, ObjectiveConfig, Plan, objective


@objective("acme-{name}", needs=Plan.augmented(2), family="acme", paper="Nobody, 2026")
class Ours(Objective):
    """Two views of a sample lie close, their mean does not vanish."""

    class Config(ObjectiveConfig):
        """Settings."""

        width: int = 16

    def build(self, backbone, models):
        self.head = nn.Linear(backbone.embed_dim, self.config.width)
        self.spare = nn.Linear(3, 3)
        {build}

    def forward(self, backbone, views):
        a, b = (self.head(backbone(view).pooled) for view in views)
        {forward}
        return (a - b).square().mean() - 0.01 * a.square().mean()
'''
Hold = Callable[..., dict[str, Outcome]]


@pytest.fixture
def method(install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs an objective: `method("forward lines", build="...")`; returns the plugin's name."""
    modules = []

    def one(name: str, forward: str = "pass", build: str = "self.unused = ('spare.*',)") -> str:
        from ssl_platform.objectives.base import REGISTRY
        from ssl_platform.objectives.manifest import record_of

        module = f"acme_{name}"
        (tmp_path / f"{module}.py").write_text(CODE.format(name=name, forward=forward, build=build), encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        modules.append(module)
        record = record_of(__import__(module).Ours)
        monkeypatch.delitem(REGISTRY, record["name"])
        sys.modules.pop(module)
        code = (
            "from ssl_platform.plugins import ObjectiveDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
            "@hookimpl\ndef ssl_platform_objectives():\n"
            f"    return [ObjectiveDeclaration.from_record({record!r})]\n"
        )
        return install(f"acme-{name}", code, name=f"acme-{name}")

    yield one
    for module in modules:
        sys.modules.pop(module, None)


def bad(found: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.cause for name, outcome in found.items() if outcome.bad}


def test_a_sound_objective_passes_on_every_toy(method, hold: Hold) -> None:
    found = hold(method("sound"))
    assert bad(found) == {}
    assert {f"steps.toy-{kind}" for kind in ("signals", "images", "volumes", "points")} <= set(found)
    assert sum(outcome.status == "skipped" for outcome in found.values()) == 0


@pytest.mark.parametrize(
    ("name", "forward", "build", "check", "words"),
    [
        ("spare", "pass", "pass", "steps.toy-images", "no gradient reaches spare.weight, spare.bias"),
        ("nan", "a = a / (a - a)", "", "steps.toy-images", "loss of step 0 is"),
        ("global", "a = a * torch.rand(())", "", "objective.repeat", "the loss is"),
        ("stateful", "self.count += 1", "self.register_buffer('count', torch.zeros(()))", "objective.state", "count"),
        ("host", "a = a * float(b.detach().max())", "", "objective.sync", "waits for the device"),
        ("memory", "self.k = getattr(self, 'k', 0) + 1; a = a * self.k", "", "objective.restore", "after loading"),
        ("blind", "a = a + views[0].x.mean()", "", "objective.invalid", "invalid cells"),
    ],
)
def test_a_broken_objective_is_named_by_the_right_check(
    name: str, forward: str, build: str, check: str, words: str, method, hold: Hold
) -> None:
    unused = "; self.unused = ('spare.*',)" if name != "spare" else ""
    found = hold(method(name, forward, (build or "pass") + unused), check)
    assert found[check].status == "failed" and words in found[check].cause, found[check]
    assert found[check].fix
