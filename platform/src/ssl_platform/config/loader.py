"""Reading YAML as people mean it: `1e-3` is a number, `no` is a word, a key is written once, errors name the line.

PyYAML follows YAML 1.1, where `1e-3` is a string, `no` is false, `12:30` is 750 and `2024-01-01` a date. Scalars are
read here by YAML 1.2's core schema instead.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ssl_platform.errors import ConfigError

_FLOAT = re.compile(
    r"""^[-+]?(?:[0-9][0-9]*\.[0-9]*(?:[eE][-+]?[0-9]+)?
         |[0-9]+[eE][-+]?[0-9]+
         |\.[0-9]+(?:[eE][-+]?[0-9]+)?
         |\.(?:inf|Inf|INF))$
         |^\.(?:nan|NaN|NAN)$""",
    re.VERBOSE,
)
_INT = re.compile(r"^[-+]?[0-9]+$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2 scalars."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A decimal integer; `010` is ten."""
        return int(node.value)


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper; it also quotes strings that `Loader` would read as numbers."""

    yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeDumper.yaml_implicit_resolvers.items()}


Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


@dataclass
class Document:
    """A YAML file as read.

    Attributes:
        values: nested mappings.
        lines: line number of every dotted key.
        path: where it was read.
    """

    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    path: Path | None = None


def load(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: it cannot be read or parsed, repeats a key or is no mapping; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no UTF-8 text") from None
    document = parse(text, str(path))
    document.path = path
    return document


def parse(text: str, name: str) -> Document:
    """Parse YAML text.

    Args:
        text: YAML whose top level is a mapping (empty is an empty mapping).
        name: what errors call it.

    Raises:
        ConfigError: as `load`.
    """
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document({})
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{name} line {node.start_mark.line + 1}: must hold keys and values")
        lines: dict[str, int] = {}
        _walk(node, "", name, lines)
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name} line {line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())}") from None
    finally:
        loader.dispose()
    return Document(values, lines)


def scalar(text: str) -> Any:
    """The value of an override, e.g. `1e-3`, `[32, 32]`, `auto`, `null`; text that is no YAML stays text."""
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError:
        return text


def _walk(node: yaml.MappingNode, prefix: str, name: str, lines: dict[str, int]) -> None:
    """Note the line of every key; refuse keys that are repeated or no text."""
    seen: set[Hashable] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{name} line {line}: a key must be a word")
        dotted = f"{prefix}{key.value}"
        if key.value in seen:
            raise ConfigError(f"{name} line {line}: {dotted} is set twice (first on line {lines[dotted]})")
        seen.add(key.value)
        lines[dotted] = line
        if isinstance(value, yaml.MappingNode):
            _walk(value, f"{dotted}.", name, lines)
