"""Checks of finding, indexing and quarantine, on the domain's own sample files and on damaged copies of them."""

from __future__ import annotations

import functools
import io
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ssl_platform.data.table import missing as no_value
from ssl_platform.errors import Unreadable
from ssl_platform.opening import OpenData, open_data
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, checks_of, one_line
from ssl_platform.testing.conformance.subject import DomainUnderTest
from ssl_platform.types import Row

LEAST = 8
"""Items a sample set must have."""


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _random(content: bytes) -> bytes:
    return random.Random(0).randbytes(max(512, len(content)))


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "truncated": ("cut off in the middle, as by a full disk", _truncated),
    "header": ("cut off after 64 bytes", lambda content: content[:64]),
    "empty": ("of no bytes at all", lambda content: b""),
    "zeros": ("of the right length and all zero, as after a crash", lambda content: bytes(len(content))),
    "random": ("of random bytes", _random),
    "text": (
        "that is a text with the format's ending",
        lambda content: b"<html><body>404 not found</body></html>\n" * 20,
    ),
}


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's files."""
    yield from checks_of(
        domain,
        ("sample.written", "sample_data writes labelled files and a manifest", written),
        ("index.rows", "every sample item is found, with sound facts", rows),
        ("index.repeat", "scanning a file twice says the same", repeat),
        ("index.folder", "the sample folder alone, without its manifest, can be opened", bare_folder),
    )
    for name, (what, _) in DAMAGE.items():
        about = f"a file {what} goes to quarantine"
        yield Check(f"quarantine.{name}", domain.subject, about, functools.partial(damaged, domain, name))


def written(domain: DomainUnderTest) -> str:
    """The sample set itself."""
    table = domain.table
    if "path" not in table.columns:
        raise Violation(f"{table.path.name} has no column 'path'", "begin the manifest with a column 'path'")
    if len(table) < LEAST:
        raise Violation(
            f"the sample set has {len(table)} items", f"write at least {LEAST}: splits and batches need them"
        )
    labels = {value for value in table.columns.get("label", []) if not no_value(value)}
    if len(labels) < 2:
        raise Violation(
            f"the sample set has {len(labels)} distinct labels", "write a column 'label' with two classes or more"
        )
    return f"{len(table)} items, {len(labels)} labels"


def rows(domain: DomainUnderTest) -> str:
    """The catalog of the sample set."""
    opened, layout = domain.opened, domain.layout
    if opened.quarantined:
        first = opened.quarantined[0]
        raise Violation(
            f"{len(opened.quarantined)} of its own sample files are quarantined, e.g. {Path(first.path).name}: "
            f"{first.reason}",
            "scan() must read what sample_data() writes",
        )
    asked = len(set(few_table(domain)))
    if len(opened.rows) < asked:
        raise Violation(f"{asked} files gave {len(opened.rows)} items", "scan() yields a row for each item of a file")
    sides = 1 if layout.points else layout.rank
    for row in opened.rows:
        said = f"scan() of {Path(row.path).name} says"
        if len(row.shape) != sides or any(int(n) < 1 for n in row.shape):
            raise Violation(f"{said} shape={row.shape}", f"give {sides} positive size(s): {' '.join(layout.spatial)}")
        if row.spacing and (len(row.spacing) != layout.rank or any(not s > 0 for s in row.spacing)):
            raise Violation(f"{said} spacing={row.spacing}", f"give {layout.rank} positive numbers in {layout.unit!r}")
        if not row.channels:
            raise Violation(f"{said} no channels", "name them: Row(channels=...)")
        known = {channel.name for channel in layout.channels}
        strange = [name for name in row.channels if known and name not in known]
        if strange and not layout.ragged_channels and len({r.channels for r in opened.rows}) == 1:
            raise Violation(
                f"{said} a channel {strange[0]!r}, which the layout lacks", "name channels as the layout does"
            )
    if len({row.id for row in opened.rows}) < len(opened.rows):
        raise Violation("two items have one id", "leave Row.id to the path, or make it unique")
    return f"{len(opened.rows)} items"


def few_table(domain: DomainUnderTest) -> list[str]:
    """Paths of the few items."""
    from ssl_platform.data.table import read_table

    return read_table(domain.manifest).columns["path"]


def repeat(domain: DomainUnderTest) -> None:
    """`scan` as a function of the file."""
    kind = domain.kind
    for path in examples(domain)[:4]:
        first, second = (list(kind().scan(path)) for _ in range(2))
        if [_facts(row) for row in first] != [_facts(row) for row in second]:
            raise Violation(f"scan() of {path.name} differs the second time", "derive every fact from the file alone")


def _facts(row: Row) -> str:
    return repr(replace(row, path=str(row.path)))


def bare_folder(domain: DomainUnderTest) -> str:
    """What a user does first: `--data FOLDER`. A file may be refused for a fact that a `data.*` key settles."""
    place = _copies(domain, "bare", examples(domain))
    opened = _open(domain, place)
    settled = [bad for bad in opened.quarantined if "data." in bad.reason]
    wrong = [bad for bad in opened.quarantined if bad not in settled]
    if wrong or len(opened.rows) + len(settled) < len(examples(domain)):
        why = f", e.g. {Path(wrong[0].path).name}: {wrong[0].reason}" if wrong else ""
        raise Violation(
            f"a folder with {len(examples(domain))} sample files gave {len(opened.rows)} items{why}",
            "declare the endings in suffixes, or override find() and claims(); what lacks a fact names its data.* key",
        )
    return f"{len(opened.rows)} items" + (f"; {settled[0].reason}" if settled else "")


def _open(domain: DomainUnderTest, folder: Path, check: Literal["auto", "full"] = "auto") -> OpenData:
    config = domain.config(manifest=None, data=[str(folder)])
    config.data.max_bad_fraction, config.data.check = 1.0, check
    return open_data(config, out=io.StringIO())


def plain(domain: DomainUnderTest) -> list[Path]:
    """The examples that can be read without their manifest."""

    def look() -> list[Path]:
        used = {Path(row.path).name for row in _open(domain, _copies(domain, "plain", examples(domain))).rows}
        return [path for path in examples(domain) if path.name in used]

    found = domain.once("sample files that can be read alone", look)
    if not found:
        raise NotApplicable("no sample file can be read without its manifest")
    return found


def examples(domain: DomainUnderTest) -> list[Path]:
    """One sample item of each file ending, as `find` yields it (a file, or a folder)."""

    def pick() -> list[Path]:
        first: dict[str, Path] = {}
        for row in domain.opened.rows:
            path = Path(row.path)
            first.setdefault(path.suffix.lower() if path.is_file() else f"{_largest(path).suffix}/", path)
        if not first:
            raise NotApplicable("the sample set has no items")
        return [first[key] for key in sorted(first)]

    return domain.once("sample files", pick)


def _largest(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: (p.stat().st_size, p.name))


def _copies(domain: DomainUnderTest, name: str, paths: list[Path]) -> Path:
    """A folder with a copy of each."""
    place = domain.folder / name
    place.mkdir(exist_ok=True)
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, place / path.name, dirs_exist_ok=True)
        else:
            shutil.copy(path, place / path.name)
    return place


def damaged(domain: DomainUnderTest, name: str) -> str:
    """Damage a copy of each example and open the folder with the sound ones beside them."""
    what, change = DAMAGE[name]
    sound = plain(domain)
    place = _copies(domain, f"damaged_{name}", sound)
    spoilt: dict[str, str] = {}
    for path in sound:
        source = _largest(path) if path.is_dir() else path
        content = source.read_bytes()
        if name == "truncated" and is_text(content):
            continue
        victim = place / f"bad_{path.name}"
        if path.is_dir():
            shutil.copytree(path, victim)
            (victim / source.relative_to(path)).write_bytes(change(content))
        else:
            victim.write_bytes(change(content))
            if name not in ("empty", "truncated"):
                _scan_alone(domain, victim, what)
        spoilt[str(victim.absolute())] = path.suffix or "folder"
    if not spoilt:
        raise NotApplicable("text files: half of one is a shorter one")
    try:
        opened = _open(domain, place, "full")
    except Exception as error:
        raise Violation(
            f"a file {what} stops everything: {type(error).__name__}: {one_line(error)}",
            "raise Unreadable(why) in scan(), prepare(), read() or verify(): the file then goes to quarantine",
        ) from error
    used = {str(Path(row.path).absolute()) for row in opened.rows}
    for whole, suffix in spoilt.items():
        if whole in used:
            raise Violation(
                f"a {suffix} item {what} is used as if it were whole",
                "verify() reads to the end and compares with the header; it raises Unreadable where they differ",
            )
    lost = [path.name for path in sound if str((place / path.name).absolute()) not in used]
    if lost:
        raise Violation(f"the sound file {lost[0]} beside it is gone too", "a bad file may cost only itself")
    return f"{len(spoilt)} formats"


def _scan_alone(domain: DomainUnderTest, path: Path, what: str) -> None:
    """`scan` itself says `Unreadable`; anything else is a guess of the platform's about a crash."""
    try:
        list(domain.kind().scan(path))
    except Unreadable as error:
        if not error.why.strip() or "\n" in error.why:
            raise Violation(f"scan() gives the reason {error.why!r}", "one line that names the cause") from None
    except Exception as error:
        raise Violation(
            f"scan() of a {path.suffix} file {what} raises {type(error).__name__}: {one_line(error)}",
            "catch what the format's reader raises and raise ssl_platform.api.Unreadable(why)",
        ) from error


def is_text(content: bytes) -> bool:
    """Whether content is text, half of which is a valid shorter file."""
    head = content[:65536]
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
    return b"\0" not in head
