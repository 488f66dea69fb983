"""What a run says of disk before its first step."""

from pathlib import Path

import pytest
from torch import nn

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.catalog import Catalog
from ssl_platform.train import head
from ssl_platform.train.autoscale import Machine
from ssl_platform.types import Row


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        (Path("/cache"), "disk: cache up to 4.0 GB in /cache (copies of your data), checkpoints "),
        (None, "disk: windows come straight from your files, none is copied; checkpoints "),
    ],
)
def test_a_cache_is_announced_only_where_there_are_copies(tmp_path, cache, words):
    catalog = Catalog.of([Row("a", "/a.tif", (10_000, 10_000), channels=("red",) * 10, dtype="float32")])
    data, trainer = {"batch_size": 4}, {"max_steps": 10}
    config = RunConfig(domain="toy", data=data, trainer=trainer)
    net = nn.Linear(4, 4)
    lines = head.lines(config, catalog, (8, 8), net, net, Machine("cpu"), tmp_path, cache)
    assert lines[-1].startswith(words) and ("copies" in lines[-1]) == (cache is not None)
