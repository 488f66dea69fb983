"""What is declared is what the domain is."""

import subprocess
import sys

from ssl_platform_pointcloud import plugin
from ssl_platform_pointcloud.domain import PointCloud


def test_declaration_and_domain_agree():
    (declared,) = plugin.ssl_platform_domains()
    assert declared.name == PointCloud.name
    assert declared.axes == PointCloud.layout.axes
    assert set(declared.symmetries) == PointCloud.layout.symmetries
    assert set(declared.moves) == PointCloud.layout.moves
    assert declared.relations == PointCloud.layout.relations
    assert set(declared.suffixes) == set(PointCloud.suffixes)
    assert declared.tasks == PointCloud.tasks
    assert (declared.default_objective, declared.default_backbone) == (
        PointCloud.default_objective,
        PointCloud.default_backbone,
    )


def test_importing_the_plugin_and_the_domain_is_light():
    heavy = {"torch", "lightning", "laspy", "trimesh", "scipy", "pandas", "pyarrow"}
    for module, also in (("plugin", {"numpy", "pydantic"}), ("domain", set())):
        code = f"import sys, ssl_platform_pointcloud.{module}; print(*sorted({heavy | also} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert run.stdout.split() == []
