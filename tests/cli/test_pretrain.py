"""`ssl-platform pretrain`: what is asked reaches the trainer, and what is wrong is said before torch is loaded."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_platform.cli.main import main
from ssl_platform.config.loader import parse
from ssl_platform.config.schema import RunConfig

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _fresh(install: Callable[..., str]) -> None:
    """Every test discovers plugins anew."""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, dict[str, Any]]]:
    """Calls that reached the trainer."""
    calls: list[tuple[RunConfig, dict[str, Any]]] = []
    module = types.ModuleType("ssl_platform.train.pretrain")
    module.pretrain = lambda config, **options: calls.append((config, options)) or {}  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "ssl_platform.train.pretrain", module)
    return calls


def test_options_and_overrides_reach_the_trainer(
    trained: list[tuple[RunConfig, dict[str, Any]]], tmp_path: Path
) -> None:
    words = f"--domain medical3d --data {tmp_path} --data b.nii --objective simclr --backbone vit-tiny --seed 3"
    assert main(["pretrain", *words.split(), "--run", "r", "--dry-run", "optim.lr=1e-3", "trainer.max_steps=50"]) == 0
    config, options = trained[0]
    assert config.data.paths == [str(tmp_path), str(Path("b.nii").absolute())]
    assert (config.objective["name"], config.backbone["name"], config.seed) == ("simclr", "vit-tiny", 3)
    assert (config.run, config.optim.lr, config.trainer.max_steps) == ("r", 1e-3, 50)
    assert callable(options.pop("at_end")), "the report is written at the end"
    assert options == {"resume": False, "dry_run": True}


def test_print_config_says_where_each_value_came_from(capsys: Capture, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("trainer:\n  max_steps: 7\n")
    words = f"pretrain --domain medical3d --config {recipe} --seed 3 --print-config optim.lr=1e-3"
    assert main(words.split()) == 0
    text = capsys.readouterr().out
    assert parse(text, "printed").values["optim"]["lr"] == 1e-3
    own = text.split("\nfinetune:")[0]  # names recur in later sections
    found = {line.split(":")[0].strip(): line.split(" # ")[1] for line in own.splitlines() if " # " in line}
    assert found["max_steps"] == f"recipe {recipe} line 2"
    assert "seed: 3" in text and found["lr"] == "override" and found["warmup"] == "default"
    assert f"{'  name: mae':<44} # domain medical3d" in text.splitlines()


def test_a_printed_configuration_resolves_identically(capsys: Capture, tmp_path: Path) -> None:
    words = "pretrain --domain medical3d --print-config optim.lr=1e-3 views.global_size=[8,8,8]"
    assert main(words.split()) == 0
    first = capsys.readouterr().out
    saved = tmp_path / "config.yaml"
    saved.write_text(first)
    assert main(["pretrain", "--config", str(saved), "--print-config"]) == 0
    second = capsys.readouterr().out
    assert parse(second, "b").values == parse(first, "a").values


WRONG = {
    "--domain medicl3d": "unknown domain 'medicl3d' (did you mean 'medical3d'?)",
    "--domain medical3d --objective mea": "unknown objective 'mea' (did you mean 'mae'?)",
    "--domain medical3d --backbone vit-smal": "unknown backbone 'vit-smal' (did you mean 'vit-small'?)",
    "--domain medical3d optim.lrr=1": "optim.lrr: unknown key (did you mean 'optim.lr'?) [override]",
    "--domain medical3d data.spacin=1": "data.spacin: unknown key (did you mean 'data.spacing'?) [override]",
    "--domain medical3d objective.mask=1": "objective.mask: unknown key",
    "--domain medical3d optim.lr": "'optim.lr' is not KEY=VALUE: write for example optim.lr=1e-3",
    "--domain medical3d optim.lr=fast": "optim.lr=fast: must be a number or 'auto' [override]",
    "--domain medical3d data.spacing=0": "data.spacing=0: spacing is mm along z, y, x: one or three positive numbers",
    "--domain medical3d --config absent.yaml": "no recipe file absent.yaml",
    "--domain medical3d --config absent": "no file or shipped recipe 'absent'",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input_is_one_line_and_exit_2(words: str, capsys: Capture) -> None:
    assert main(["pretrain", *words.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {WRONG[words]}") and error.count("\n") == 1


def test_a_recipe_with_an_unknown_key_names_its_line(capsys: Capture, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("domain: medical3d\noptim:\n  lrr: 1\n")
    assert main(["pretrain", "--config", str(recipe)]) == 2
    assert (
        capsys.readouterr().err
        == f"error: optim.lrr: unknown key (did you mean 'optim.lr'?) [recipe {recipe} line 3]\n"
    )


def test_a_glob_the_shell_expanded(capsys: Capture, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.nii" for name in "ab"]
    for file in files:
        file.touch()
    assert main(["pretrain", "--domain", "medical3d", "--data", *map(str, files)]) == 2
    assert "quote the glob" in capsys.readouterr().err


def test_an_objective_that_does_not_fit_says_what_does(install: Callable[..., str], capsys: Capture) -> None:
    install(
        "acme-clip",
        "from ssl_platform.plan import Plan\n"
        "from ssl_platform.plugins import ObjectiveDeclaration, hookimpl\nSSL_PLATFORM_API = 1\n"
        "@hookimpl\ndef ssl_platform_objectives():\n"
        "    return [ObjectiveDeclaration('acmeclip', 'a:B', needs=Plan.augmented(1, parts=('main', 'text')))]\n",
    )
    assert main(["pretrain", "--domain", "medical3d", "--objective", "acmeclip"]) == 2
    error = capsys.readouterr().err
    assert "objective 'acmeclip' needs the part 'text', which domain 'medical3d'" in error
    assert "objectives that fit: barlow-twins, beit, " in error
    assert error.rstrip().endswith("more (ssl-platform objectives --domain medical3d)") and len(error) < 350


def test_resume_needs_nothing_but_the_run(
    trained: list[tuple[RunConfig, dict[str, Any]]], tmp_path: Path, capsys: Capture
) -> None:
    assert main(["pretrain", "--domain", "medical3d", "--objective", "dino", "--print-config", "optim.lr=1e-4"]) == 0
    (tmp_path / "config.yaml").write_text(capsys.readouterr().out)
    assert main(["pretrain", "--run", str(tmp_path), "--resume", "data.workers=2"]) == 0
    config, options = trained[0]
    assert (config.objective["name"], config.optim.lr, config.data.workers) == ("dino", 1e-4, 2)
    assert config.run == str(tmp_path) and options["resume"] is True
    assert main(["pretrain", "--run", str(tmp_path), "--resume", "optim.lr=1"]) == 2
    assert "--resume cannot change optim.lr from 0.0001 to 1" in capsys.readouterr().err


def test_resume_in_an_empty_folder_starts_fresh(
    trained: list[tuple[RunConfig, dict[str, Any]]], tmp_path: Path
) -> None:
    assert main(["pretrain", "--run", str(tmp_path), "--resume", "--domain", "medical3d"]) == 0
    assert trained[0][0].domain == "medical3d"


def test_the_python_api_takes_the_same_words(trained: list[tuple[RunConfig, dict[str, Any]]]) -> None:
    import ssl_platform

    ssl_platform.pretrain(domain="medical3d", objective="mae", trainer={"max_steps": 5}, overrides={"optim.lr": 1e-3})
    config = trained[0][0]
    assert (config.trainer.max_steps, config.optim.lr) == (5, 1e-3)
