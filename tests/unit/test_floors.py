"""The house stands: a module imports only from floors below, heavy libraries stay out of light modules, and the folder
`platform/` never hides the standard library's module.
"""

from __future__ import annotations

import ast
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "platform" / "src" / "ssl_platform"

# Ground floor first; modules of one floor may import each other.
FLOORS: list[set[str]] = [
    {"errors"},
    {"types", "draws", "plan", "joint_plan", "schedules"},
    {"config", "distributed"},
    {"losses", "measures"},
    {"nn"},
    {"masking", "views", "targets"},
    {"data", "domain", "plugins", "builtin"},
    {"encoder", "encoder_record", "weights", "input_contract", "opening", "configure", "downloads"},
    {"objectives"},
    {"train", "survey", "preparing"},
    {"transfer"},
    {"analysis", "report"},
    {"doctor", "api", "api_arguments", "api_data", "authoring", "scaffold"},
    {"testing"},
    {"cli", "__main__", "__init__"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}

HEAVY = {"torch", "lightning", "monai", "pandas", "timm", "scipy", "pyarrow", "sklearn"}
LIGHT = (
    "cli",
    "plugins",
    "config",
    "builtin",
    "configure",
    "api",
    "api_arguments",
    "api_data",
    "authoring",
    "scaffold",
    "doctor",
    "downloads",
    "domain",
    "plan",
    "types",
    "errors",
)
NO_NUMPY = tuple(name for name in LIGHT if name not in ("config", "configure", "downloads", "domain", "types"))


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def part(path: Path) -> str:
    """The name on the floor plan a file belongs to."""
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Dotted names a file imports when it is itself imported (not in functions, not for type checking)."""
    found: list[str] = []
    for node in top_level(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


def top_level(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from top_level(child)


def test_every_module_has_a_floor() -> None:
    assert {part(path) for path in modules()} <= set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_come_from_floors_below(path: Path) -> None:
    own = part(path)
    if own == "__init__":
        return
    for name in imported(path):
        words = name.split(".")
        if words[0] == "ssl_platform" and words[1] in LEVEL:
            assert LEVEL[words[1]] <= LEVEL[own], f"{own} imports {name}, which is on a higher floor"


@pytest.mark.parametrize("name", ["losses", "measures"])
def test_losses_and_measures_import_torch_only(name: str) -> None:
    allowed = {"__future__", "ssl_platform", "torch", *sys.stdlib_module_names}
    for path in (path for path in modules() if part(path) == name):
        for dotted in imported(path):
            words = dotted.split(".")
            assert words[0] in allowed, f"{path}: {dotted}"
            if words[0] == "ssl_platform":
                assert words[1] in (name, "distributed", "errors"), f"{path}: {dotted}"


def test_light_modules_import_nothing_heavy() -> None:
    plugin_modules = [*ROOT.glob("plugins/*/src/*/plugin.py"), *ROOT.glob("datasets/src/*/plugin.py")]
    packages = [path.parent / "__init__.py" for path in plugin_modules]
    for path in [*(p for p in modules() if part(p) in LIGHT), *plugin_modules, *packages]:
        heavy = HEAVY | ({"numpy", "pydantic"} if part_or_plugin(path) in NO_NUMPY else set())
        for dotted in imported(path):
            assert dotted.split(".")[0] not in heavy, f"{path} imports {dotted}"


def part_or_plugin(path: Path) -> str:
    return part(path) if path.is_relative_to(SOURCE) else "plugins"


def test_no_package_at_the_top_of_the_folders() -> None:
    for folder in ("platform", "plugins", "datasets", "configs", "tests", "benchmarks", "docs"):
        assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/ is a folder, never a package"
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_the_standard_librarys_platform_stays_itself() -> None:
    assert platform.system()
    assert not Path(platform.__file__).is_relative_to(ROOT / "platform")
    names = {path.name for path in (ROOT / "tests").rglob("*") if path.is_dir()} - {"__pycache__"}
    assert not names & (set(sys.stdlib_module_names) - {"cli"}), "no test folder is named like a standard module"


def test_every_module_is_of_readable_size() -> None:
    sizes = {str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: lines for name, lines in sizes.items() if lines > 400} == {}
