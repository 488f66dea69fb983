"""Each doctor check does what it says and reports one line."""

import pytest

from ssl_platform_pointcloud import doctor, plugin


@pytest.mark.parametrize("name", [check.factory.split(":")[1] for check in plugin.ssl_platform_checks()])
def test_checks_pass_here(name):
    line = getattr(doctor, name)()
    assert line and "\n" not in line


def test_a_reader_that_changes_points_fails_its_check(monkeypatch):
    real = doctor.read_cloud
    monkeypatch.setattr(doctor, "read_cloud", lambda path: real(path, step=2))
    with pytest.raises(RuntimeError, match="read differently"):
        doctor.ply()
