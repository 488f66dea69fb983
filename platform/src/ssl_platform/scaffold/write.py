"""Fills the templates of a plugin in, and puts the folder in place at once or not at all.

A template is a file below `templates/both` or `templates/<kind>`. Its path loses `.tmpl`; `package` in it becomes the
module's name, and a leading `dot_` a dot. `${word}` in its text is a word of `words_of`.
"""

from __future__ import annotations

import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ssl_platform import __version__
from ssl_platform.errors import UsageError
from ssl_platform.plugins import API
from ssl_platform.scaffold.names import Kind, Names

TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".tmpl"


def words_of(names: Names) -> dict[str, str]:
    """What `${word}` in a template may be."""
    return {
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "class_name": names.class_name,
        "api": str(API),
        "core_version": __version__,
    }


def files_of(names: Names, kind: Kind) -> Iterator[tuple[str, str]]:
    """Relative path and text of every file of a new plugin, sorted by template."""
    words = words_of(names)
    for folder in (TEMPLATES / "both", TEMPLATES / kind):
        for template in sorted(path for path in folder.rglob(f"*{_SUFFIX}") if path.is_file()):
            text = string.Template(template.read_text(encoding="utf-8")).substitute(words)
            yield _path_of(template.relative_to(folder), words), text


def _path_of(template: Path, words: Mapping[str, str]) -> str:
    parts = []
    for part in template.parts:
        plain = part.removesuffix(_SUFFIX)
        plain = f".{plain[4:]}" if plain.startswith("dot_") else plain
        parts.append(words["package"] if plain == "package" else plain)
    return "/".join(parts)


def write_plugin(names: Names, kind: Kind, into: Path) -> Path:
    """Write the distribution of a new plugin.

    Args:
        names: of the plugin.
        kind: what it declares.
        into: folder that gets the distribution's folder; made where it is not there.

    Returns:
        the distribution's folder.

    Raises:
        UsageError: the folder is there already and not empty, or cannot be written.
    """
    target = into / names.distribution
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} exists already and is not empty: choose another --into, or remove it")
    draft: Path | None = None
    try:
        into.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{names.distribution}.", dir=into))
        draft.chmod(0o755)
        for path, text in files_of(names, kind):
            file = draft / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return target
