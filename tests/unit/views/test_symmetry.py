"""What a layout allows."""

import pytest

from ssl_platform.errors import ConfigError
from ssl_platform.types import Layout
from ssl_platform.views.symmetry import allows, axes, planes

VIDEO = Layout("C T H W", symmetries=frozenset({"flip:W", "rotate:HW", "scale:HW", "blur"}))


def test_axes_and_planes():
    assert axes(VIDEO, "flip") == (2,) and axes(VIDEO, "scale") == (1, 2) and axes(VIDEO, "blur") == (0, 1, 2)
    assert planes(VIDEO, "rotate") == ((1, 2),) and planes(VIDEO, "rot90") == ()
    assert allows(VIDEO, "flip") and not allows(VIDEO, "noise")
    assert planes(Layout("N C", symmetries=frozenset({"rotate:YX"})), "rotate") == ((0, 1),)


def test_an_axis_the_layout_lacks_is_named() -> None:
    layout = Layout("C T", symmetries=frozenset({"flip:W", "rotate:HW"}))
    for look, symmetry in ((axes, "flip"), (planes, "rotate")):
        with pytest.raises(ConfigError, match=r"names the axis [HW], which the layout 'C T' lacks: name T"):
            look(layout, symmetry)
