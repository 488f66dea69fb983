"""What is declared is what the domain is."""

import subprocess
import sys

from ssl_platform_medical3d import plugin
from ssl_platform_medical3d.domain import Medical3D


def test_declaration_and_domain_agree():
    (declared,) = plugin.ssl_platform_domains()
    assert declared.name == Medical3D.name
    assert declared.axes == Medical3D.layout.axes
    assert set(declared.symmetries) == Medical3D.layout.symmetries
    assert set(declared.moves) == Medical3D.layout.moves
    assert declared.relations == Medical3D.layout.relations
    assert set(declared.suffixes) == set(Medical3D.suffixes)
    assert declared.tasks == Medical3D.tasks
    assert (declared.default_objective, declared.default_backbone) == (
        Medical3D.default_objective,
        Medical3D.default_backbone,
    )


def test_importing_the_plugin_and_the_domain_is_light():
    heavy = {"torch", "lightning", "monai", "nibabel", "SimpleITK", "pydicom", "scipy", "zarr", "pandas"}
    for module, also in (("plugin", {"numpy", "pydantic"}), ("domain", set())):
        code = f"import sys, ssl_platform_medical3d.{module}; print(*sorted({heavy | also} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert run.stdout.split() == []
