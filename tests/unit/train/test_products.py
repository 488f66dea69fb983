"""What an encoder file says of its input."""

from types import SimpleNamespace

import pytest

from ssl_platform.domain import DomainOptions
from ssl_platform.input_contract import InputContract
from ssl_platform.train.products import contract_of
from ssl_platform.types import Channel, Layout

CHANNELS = (Channel("B04", "reflectance", 664.6), Channel("VV", "dB"), Channel("B08", "reflectance", 832.8))


def contract(names, spacings):
    layout = Layout(axes="C H W", channels=CHANNELS, unit="m")
    domain = SimpleNamespace(layout=layout, options=DomainOptions())
    data = SimpleNamespace(domain=domain, rows=[SimpleNamespace(spacing=spacing) for spacing in spacings])
    spec = SimpleNamespace(channels=names, size=(64, 64))
    return contract_of(data, SimpleNamespace(backbone=SimpleNamespace(spec=spec)))


def test_channels_are_told_with_unit_and_wavelength():
    found = contract(("B08", "VV"), [(10.0, 10.0)])
    assert found.units == ("reflectance", "dB") and found.wavelengths == (832.8, None)
    assert InputContract.from_dict(found.as_dict()) == found
    assert contract(("VV",), [(10.0, 10.0)]).wavelengths == ()
    older = {name: value for name, value in found.as_dict().items() if name != "wavelengths"}
    assert InputContract.from_dict(older).wavelengths == ()


@pytest.mark.parametrize(
    ("spacings", "said"),
    [
        ([(9.996, 9.996), (10.0, 9.991), (9.996, 9.996)], (9.996, 9.996)),  # scenes of one grid, measured on the ground
        ([(10.0, 10.0), (10.0, 10.2), (10.0, 10.0)], ()),
        ([(6.25e-5,), (6.25e-5,)], (6.25e-5,)),  # seconds of a sample: not rounded to nothing
        ([(), ()], ()),
        ([(1.0,), (1.0, 1.0)], ()),
    ],
)
def test_a_spacing_is_said_where_all_items_have_it(spacings, said):
    assert contract(("VV",), spacings).spacing == said
