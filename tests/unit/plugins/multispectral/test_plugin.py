"""What is declared is what the domain is."""

import subprocess
import sys

from ssl_platform_multispectral import plugin
from ssl_platform_multispectral.domain import Multispectral


def test_declaration_and_domain_agree():
    (declared,) = plugin.ssl_platform_domains()
    assert declared.name == Multispectral.name
    assert declared.axes == Multispectral.layout.axes
    assert set(declared.symmetries) == Multispectral.layout.symmetries
    assert set(declared.moves) == Multispectral.layout.moves
    assert declared.relations == Multispectral.layout.relations
    assert set(declared.suffixes) == set(Multispectral.suffixes)
    assert declared.tasks == Multispectral.tasks
    assert (declared.default_objective, declared.default_backbone) == (
        Multispectral.default_objective,
        Multispectral.default_backbone,
    )


def test_importing_the_plugin_and_the_domain_is_light():
    heavy = {"torch", "lightning", "rasterio", "torchgeo", "pyproj", "scipy", "pandas", "pyarrow"}
    for module, also in (("plugin", {"numpy", "pydantic"}), ("domain", set())):
        code = f"import sys, ssl_platform_multispectral.{module}; print(*sorted({heavy | also} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert run.stdout.split() == []
