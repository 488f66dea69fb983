"""YAML as people mean it, with the line in every error."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ssl_platform.config.loader import Dumper, Loader, load, parse, scalar
from ssl_platform.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-2e-4", -2e-4),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.5e+2", 150.0),
        (".inf", float("inf")),
        ("12", 12),
        ("-7", -7),
        ("010", 10),
        ("[1e-3, 2]", [1e-3, 2]),
        ("{a: 1e-4}", {"a": 1e-4}),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("auto", "auto"),
        ("10ep", "10ep"),
        ("5%", "5%"),
        ("e5", "e5"),
        ("'1e-3'", "1e-3"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_text_that_is_no_yaml_stays_text() -> None:
    assert scalar("[1, 2") == "[1, 2"
    assert scalar("name:(?P<label>[a-z]+)_.*") == "name:(?P<label>[a-z]+)_.*"


@pytest.mark.parametrize(
    "value", [1e-3, 1e-30, 0.1, 3, True, None, "1e-3", "no", "yes", "12:30", "", "a: b", "ü", [1e-5, "x"]]
)
def test_what_is_dumped_reads_back_here_and_with_plain_yaml(value: object) -> None:
    text = yaml.dump({"key": value}, Dumper=Dumper)
    assert yaml.load(text, Loader) == {"key": value}
    assert yaml.safe_load(text) == {"key": value}


def test_lines_of_keys() -> None:
    document = parse("# first\noptim:\n  lr: 1e-3\n\ndata: {batch_size: 4}\n", "r.yaml")
    assert document.values == {"optim": {"lr": 1e-3}, "data": {"batch_size": 4}}
    assert document.lines == {"optim": 2, "optim.lr": 3, "data": 5, "data.batch_size": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim:\n  lr: 1\n  lr: 2\n", "r.yaml line 3: optim.lr is set twice (first on line 2)"),
        ("a: 1\nb: [1\n", "r.yaml line 3: "),
        ("- a\n- b\n", "r.yaml line 1: must hold keys and values"),
        ("just words\n", "r.yaml line 1: must hold keys and values"),
        ("a: !!python/object:os.system x\n", "r.yaml line 1: could not determine a constructor"),
        ("? [a, b]\n: 1\n", "r.yaml line 1: a key must be a word"),
        ("a: *nobody\n", "r.yaml line 1: found undefined alias"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.yaml")
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no UTF-8 text"):
        load(binary)


def test_an_empty_file_holds_nothing() -> None:
    assert parse("# only a comment\n", "r.yaml").values == {}
