"""Scans a folder of good files and nasty ones, once a module."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ssl_platform.cli.main import main


@dataclass(frozen=True)
class Told:
    """What a scan of a folder said.

    Attributes:
        nasty: `NASTIEST` of the module.
        text: printed.
        used: names of the files that became items.
        refused: the reason of each of the others, by name.
    """

    nasty: dict
    text: str
    used: frozenset[str]
    refused: dict[str, str]

    def check(self, name: str) -> None:
        """The file was used, refused or (None) set aside, and the words were said."""
        _, used, words = self.nasty[name]
        assert (name in self.used, name in self.refused) == (used is True, used is False)
        assert words in (self.refused[name] if used is False else self.text)
        assert "\n" not in self.refused.get(name, "") and "Traceback" not in self.text


def pointer(path: Path) -> None:
    """What git leaves of a large file that was never fetched: what a module names None."""
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n", encoding="utf-8")


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The scan of four good files (`good(path)` writes one) and all of `NASTIEST`, of the domain the module names."""
    module = request.module
    domain = Path(module.__file__).stem.removeprefix("test_")
    folder, out = tmp_path_factory.mktemp(domain), tmp_path_factory.mktemp("out")
    good = [module.GOOD.format(number) for number in range(4)]
    for name in good:
        module.good(folder / name)
    for name, (make, _, _) in module.NASTIEST.items():
        (make or pointer)(folder / name)
    words = ["scan", str(folder), "--domain", domain, "--out", str(out / "m.csv"), f"cache.dir={out / 'cache'}"]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main([*words, "data.max_bad_fraction=0.9"]) == 0
    with (out / "m.csv").open(encoding="utf-8") as used, (out / "m_quarantine.csv").open(encoding="utf-8") as refused:
        names = frozenset(Path(row["path"]).name.partition("#")[0] for row in csv.DictReader(used))
        reasons = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(refused)}
    shutil.rmtree(folder)
    assert set(good) <= names
    return Told(module.NASTIEST, text.getvalue(), names, reasons)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test each nasty file."""
    if "nasty" in metafunc.fixturenames:
        metafunc.parametrize("nasty", metafunc.module.NASTIEST)
