"""Patients leave as salted hashes."""

import stat

from ssl_platform.data import identity


def test_equal_patients_agree_and_the_salt_matters(monkeypatch):
    monkeypatch.setenv("SSL_PLATFORM_SALT", "one")
    first = identity.salted("PGBM-003")
    assert first == identity.salted(" PGBM-003 ") != identity.salted("PGBM-004")
    assert "PGBM" not in first
    monkeypatch.setenv("SSL_PLATFORM_SALT", "two")
    assert identity.salted("PGBM-003") != first


def test_the_salt_is_made_once_for_its_owner(monkeypatch, tmp_path):
    monkeypatch.delenv("SSL_PLATFORM_SALT", raising=False)
    monkeypatch.setattr(identity, "salt_file", lambda: tmp_path / "cache" / "salt")
    identity._salt.cache_clear()
    first = identity.salted("a")
    identity._salt.cache_clear()
    assert identity.salted("a") == first
    file = tmp_path / "cache" / "salt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(file.read_bytes()) == 32
    assert list(file.parent.iterdir()) == [file]
    identity._salt.cache_clear()
