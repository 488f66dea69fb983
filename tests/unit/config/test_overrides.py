from __future__ import annotations

from pathlib import Path

import pytest

from ssl_platform.config.overrides import flatten, is_override, nest, parse_overrides, suggest
from ssl_platform.errors import ConfigError


def test_values_are_yaml() -> None:
    found = parse_overrides(["optim.lr=1e-3", "data.window=[32, 32]", "health.stop=true", "optim.clip=null", "a.b=x=y"])
    assert found == {
        "optim.lr": 1e-3,
        "data.window": [32, 32],
        "health.stop": True,
        "optim.clip": None,
        "a.b": "x=y",
    }


def test_the_last_one_wins() -> None:
    assert parse_overrides(["a=1", "a=2"]) == {"a": 2}


def test_a_file_among_the_overrides_says_how_to_pass_it(tmp_path: Path) -> None:
    file = tmp_path / "scan.nii"
    file.touch()
    with pytest.raises(ConfigError, match=r"quote the glob .* or pass the folder"):
        parse_overrides([str(file)])


@pytest.mark.parametrize(
    ("argument", "message"),
    [("lr", "'lr' is not KEY=VALUE"), ("=3", "'' is not a dotted key"), ("a b=3", "'a b' is not a dotted key")],
)
def test_what_is_no_override(argument: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_overrides([argument])


def test_is_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert is_override("optim.lr=1")
    assert not is_override("a=b"), "an existing folder is data"
    assert not is_override("scans/")
    assert not is_override("s3://bucket/x=1")


def test_nest_and_flatten_are_inverse() -> None:
    flat = {"a.b": 1, "a.c.d": [2], "e": None, "f": {}}
    assert flatten(nest(flat)) == flat


def test_a_value_has_no_keys() -> None:
    with pytest.raises(ConfigError, match="'optim' was given a value"):
        nest({"optim": 3, "optim.lr": 1})


KNOWN = ["optim.lr", "optim.min_lr", "data.batch_size", "trainer.max_steps", "probe.steps", "run"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("optim.lrr", "optim.lr"),
        ("lr", "optim.lr"),
        ("batch_size", "data.batch_size"),
        ("train.max_steps", "trainer.max_steps"),
        ("trainer.steps", "trainer.max_steps"),
        ("data.batchsize", "data.batch_size"),
    ],
)
def test_close_matches(wrong: str, right: str) -> None:
    assert suggest(wrong, KNOWN) == f" (did you mean {right!r}?)"


def test_nothing_close_is_nothing_said() -> None:
    assert suggest("zzz", KNOWN) == ""
