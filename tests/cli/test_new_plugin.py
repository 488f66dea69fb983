"""`ssl-platform new-plugin`: what it writes, what it says, what it refuses."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssl_platform.cli.main import main
from ssl_platform.errors import UsageError
from ssl_platform.scaffold import write
from ssl_platform.scaffold.names import Names, names_of

Capture = pytest.CaptureFixture[str]
KINDS = ("domain", "objective")


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_a_distribution_and_says_what_to_do_next(kind: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["new-plugin", "sleep-eeg", "--into", str(tmp_path / "new"), "--kind", kind]) == 0
    folder = tmp_path / "new" / "ssl-platform-sleep-eeg"
    first, _, *commands = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{folder}: {len(files_below(folder))} files, licence Apache-2.0")
    assert commands[0] == f"  pip install -e {folder}"
    assert commands[1] == "  ssl-platform plugins check sleep-eeg"
    assert commands[2].startswith(f"  ssl-platform pretrain --{kind} sleep-eeg")
    package = folder / "src" / "ssl_platform_sleep_eeg"
    for path in (folder / "README.md", folder / "LICENSE", folder / ".gitignore", package / "py.typed"):
        assert path.is_file()
    about = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert about["entry-points"]["ssl_platform.plugins"] == {"sleep-eeg": "ssl_platform_sleep_eeg.plugin"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ssl-platform-sleep-eeg"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", "a-long-name-of-24-letter"])
def test_what_is_written_passes_ruff_whatever_its_name(name: str, kind: str, tmp_path: Path) -> None:
    assert main(["new-plugin", name, "--into", str(tmp_path), "--kind", kind]) == 0
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", "."],
            cwd=tmp_path / f"ssl-platform-{name}",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_promised_is_imported(kind: str) -> None:
    """An author imports `ssl_platform.api`; only tests may use the kit and what it measures with."""
    for path, text in write.files_of(Names("x"), "domain" if kind == "domain" else "objective"):
        if path.endswith(".py") and path.startswith("src/"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ssl_platform"):
                    assert node.module == "ssl_platform.api" or node.module.startswith("ssl_platform_x"), path


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["Sleep_EEG"], "beginning with a letter: write sleep-eeg"),
        (["3d"], "beginning with a letter\n"),
        (["--", "-"], "use lower case letters"),
        (["a-name-that-goes-on-and-on"], "26 letters, at most 24"),
        (["medical3d"], "the domain 'medical3d' is offered by ssl-platform-medical3d"),
        (["ssl-platform-audio"], "the domain 'audio' is offered by ssl-platform-audio"),
        (["mae", "--kind", "objective"], "the objective 'mae' is offered by ssl-platform"),
        (["core", "--kind", "objective"], "the plugin 'core' is installed with ssl-platform"),
        (["video", "--kind", "objective"], "the plugin 'video' is installed with ssl-platform-video"),
    ],
)
def test_names_that_cannot_be_are_refused(words: list[str], reason: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["new-plugin", "--into", str(tmp_path / "new"), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: new-plugin ") and reason in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_distribution_or_module_of_that_name_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ssl_platform_sonar.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="a module ssl_platform_sonar is installed"):
        names_of("sonar", "domain")
    info = tmp_path / "ssl_platform_radar-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ssl-platform-radar\nVersion: 1.0\n", encoding="utf-8")
    with pytest.raises(UsageError, match="the distribution ssl-platform-radar is installed"):
        names_of("radar", "domain")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "ssl-platform-sonar"
    target.mkdir()
    (target / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["new-plugin", "sonar", "--into", str(tmp_path)]) == 2
    assert "exists already and is not empty" in capsys.readouterr().err
    assert files_below(tmp_path) == [target / "mine.txt"]
    (target / "mine.txt").unlink()
    assert main(["new-plugin", "sonar", "--into", str(tmp_path)]) == 0
    assert (target / "pyproject.toml").is_file()


def test_into_a_file_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert main(["new-plugin", "sonar", "--into", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert "cannot be written" in error and error.count("\n") == 1


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Iterator[tuple[str, str]]:
        yield "README.md", "half"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "files_of", full)
    assert main(["new-plugin", "sonar", "--into", str(tmp_path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
