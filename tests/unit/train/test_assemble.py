"""What is refused or settled before a model is built."""

from __future__ import annotations

import pytest

from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError
from ssl_platform.testing.toy_domain import ToyDomain, ToyOptions
from ssl_platform.train.assemble import assemble
from ssl_platform.train.scale import RunSize


class TrueSize(ToyDomain):
    true_size = True


def assembled(objective: str, channels: tuple[str, ...] = ("c0",)) -> RunConfig:
    config = RunConfig(
        objective={"name": objective}, backbone={"name": "vit-pico", "depth": 1}, scale="tiny", data={"batch_size": 8}
    )
    domain = TrueSize(ToyOptions())
    assemble(config, domain, channels, (16, 16, 16), lambda _: RunSize(64, 8, 10, 32, 2, False))
    return config


def test_data_with_too_few_channels_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"'colorization' needs at least 2 channels, the data has 1: c0$"):
        assembled("colorization")
    assembled("colorization", ("c0", "c1"))


@pytest.mark.parametrize(("objective", "zoom"), [("simclr", False), ("mae", True), ("cropmae", True)])
def test_compared_views_keep_their_size_but_nested_crops_do_not(objective: str, zoom: bool) -> None:
    assert assembled(objective).views.zoom is zoom
