"""Writes docs/acceptance.md from docs/acceptance.yaml, and checks that every test it names exists.

python docs/acceptance_page.py            write it
python docs/acceptance_page.py --check    exit 1 when it is stale or names what is not there
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DATA, PAGE = Path(__file__).with_name("acceptance.yaml"), Path(__file__).with_name("acceptance.md")
FIELDS = {"says", "test", "twin", "for", "learning", "benchmark", "missing"}
HEAD = """# Acceptance

What the specification of each objective, and of analyses and protocols, asks to be shown, line by line, and where it
is shown. Written by `python docs/acceptance_page.py` from `docs/acceptance.yaml`; a test keeps it current and every
name in it true.

- **test** shows the line as it stands, **twin** at a small size what needs CIFAR, ImageNet or public weights: the last
  column says what stands in for what, or in what a test departs from the line.
- **learning table** is the row of an objective in [results.md](results.md), a linear probe on sample sets beside its
  control: the row says whether the objective beats it. `pytest -m slow tests/learning` measures it anew.
- **benchmark** is a command whose figures are in the last column or on the results page.
- **not tested** says why. Tests that train for seconds are marked `slow`: `pytest -m slow tests/parity`.

Of {all} lines {shown} are shown by tests, {twins} by a twin, a row of the learning table or a benchmark, {part}
in part, {none} not at all.
"""


@dataclass(frozen=True)
class Line:
    """One line of a specification.

    Attributes:
        says: in short.
        test, twin: `file::name` under tests/.
        stands: what stands in for what.
        learning: objective of a row of the learning table, or "".
        benchmark: script under benchmarks/, or "".
        missing: what is not shown, and why.
    """

    says: str
    test: tuple[str, ...] = ()
    twin: tuple[str, ...] = ()
    stands: str = ""
    learning: str = ""
    benchmark: str = ""
    missing: str = ""

    @property
    def unseen(self) -> bool:
        """Whether nothing shows it."""
        return not (self.test or self.twin or self.learning or self.benchmark)


@dataclass(frozen=True)
class Section:
    """An objective, or a part that is none.

    Attributes:
        name: of the objective or part.
        family: heading it stands under.
        card: number of its specification.
        lines: in its order.
    """

    name: str
    family: str
    card: str
    lines: tuple[Line, ...]


def sections() -> list[Section]:
    """The data as written.

    Raises:
        ValueError: a line has an unknown field, or shows nothing and says nothing of it.
    """
    found = []
    for family, members in yaml.safe_load(DATA.read_text(encoding="utf-8")).items():
        for name, one in members.items():
            lines = tuple(_line(row, one["file"], name) for row in one["lines"])
            found.append(Section(name, family, str(one["card"]), lines))
    return found


def _line(row: dict[str, Any], file: str, name: str) -> Line:
    if row.keys() - FIELDS or not row.keys() - {"says", "for"}:
        raise ValueError(f"{name}: {row} shows nothing, or has fields beyond {sorted(FIELDS)}")

    def names(key: str) -> tuple[str, ...]:
        given = row.get(key, [])
        return tuple(file + n if n.startswith("::") else n for n in ([given] if isinstance(given, str) else given))

    words = {key: row.get(key, "") for key in ("learning", "benchmark", "missing")}
    return Line(row["says"], names("test"), names("twin"), row.get("for", ""), **words)


@cache
def tests_of(file: str) -> dict[str, bool]:
    """Test functions of a file under tests/, and whether they are slow; none where there is no such file."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return {}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: any("mark.slow" in ast.unparse(mark) for mark in node.decorator_list)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def absent() -> list[str]:
    """Named tests and benchmarks that do not exist."""
    lines = [line for section in sections() for line in section.lines]
    named = (name for line in lines for name in (*line.test, *line.twin))
    tests = [name for name in named if name.partition("::")[2] not in tests_of(name.partition("::")[0])]
    scripts = {line.benchmark for line in lines if line.benchmark}
    return tests + [script for script in sorted(scripts) if not (ROOT / "benchmarks" / script).is_file()]


def page() -> str:
    """The page as Markdown."""
    everything = sections()
    lines = [line for section in everything for line in section.lines]
    none = sum(line.unseen for line in lines)
    part = sum(bool(line.missing) for line in lines) - none
    twins = sum(bool(line.twin or line.learning or line.benchmark) and not line.missing for line in lines)
    text = [HEAD.format(all=len(lines), shown=len(lines) - none - part - twins, twins=twins, part=part, none=none)]
    family = ""
    for section in everything:
        if section.family != family:
            family = section.family
            text.append(f"\n## {family}")
        text += [f"\n### {section.name} (card {section.card})\n", "| line | where | note |", "|---|---|---|"]
        text += [f"| {line.says} | {'<br>'.join(_where(line))} | {_note(line)} |" for line in section.lines]
    return "\n".join(text) + "\n"


def _where(line: Line) -> Iterator[str]:
    for word, names in (("test", line.test), ("twin", line.twin)):
        for name in names:
            file, _, test = name.partition("::")
            yield f"{word} `{name}`" + (" (slow)" if tests_of(file).get(test) else "")
    if line.learning:
        yield f"twin [learning table](results.md), row `{line.learning}`"
    if line.benchmark:
        yield f"benchmark `benchmarks/{line.benchmark}`"
    if line.unseen:
        yield "not tested"


def _note(line: Line) -> str:
    missing = line.missing if line.unseen or not line.missing else f"not tested: {line.missing}"
    return "; ".join(part for part in (line.stands, missing) if part) or "-"


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it is stale; returns the exit code."""
    missing = absent()
    for name in missing:
        print(f"there is no {name}")
    if "--check" in arguments:
        return 0 if not missing and PAGE.exists() and PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
