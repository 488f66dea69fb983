"""Declarations say what the code offers."""

from __future__ import annotations

import inspect

import pytest

from ssl_platform import builtin
from ssl_platform.config.grammar import settings_model
from ssl_platform.plugins import registry


def test_every_factory_can_be_imported() -> None:
    found = registry()
    for declaration in [*found.objectives(), *found.backbones(), *found.tasks(), *found.protocols()]:
        assert callable(found.load(declaration)), declaration.name


def test_tasks_name_their_metrics_and_protocols() -> None:
    from ssl_platform.transfer.metrics import metrics_of

    kinds = ("classification", "multi-label", "regression")
    for task in builtin.ssl_platform_tasks():
        if task.name in kinds:
            assert task.metrics == tuple(metrics_of(task.name)), task.name
        for name in task.protocols:
            assert set(registry().protocol(name).tasks) & {*kinds, "segmentation"}, name


def test_vit_offers_and_settings_are_the_class_ones() -> None:
    from ssl_platform.nn.sizes import SIZES
    from ssl_platform.nn.vit import ViT, vit

    assert set(builtin.VIT_OFFERS) == ViT.offers
    assert tuple(SIZES) == builtin.VIT_SIZES
    parameters = {**inspect.signature(ViT).parameters, **inspect.signature(vit).parameters}
    for setting in builtin.VIT_SETTINGS:
        if setting.name != "patch":  # resolved with the domain's before the factory is called
            assert parameters[setting.name].default == setting.default, setting.name


def test_offers_of_the_others_are_the_class_ones() -> None:
    from ssl_platform.nn.adapters.maps import MapBackbone
    from ssl_platform.nn.convnet import ConvNet, convnet

    assert set(builtin.CONVNET.offers) == ConvNet.offers
    assert set(builtin.MAPS) == MapBackbone.offers
    for setting in builtin.CONVNET.settings[1:]:
        assert inspect.signature(convnet).parameters[setting.name].default == setting.default


@pytest.mark.parametrize("backbone", [b.name for b in registry().backbones()])
def test_settings_are_in_the_grammar_and_defaults_valid(backbone: str) -> None:
    settings = registry().backbone(backbone).settings
    settings_model("backbone", settings)()
    assert all(setting.description for setting in settings)
