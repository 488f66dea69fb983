"""Options: all of them documented; what is refused is in `test_items.py`."""

from __future__ import annotations

from pathlib import Path

from ssl_platform_audio.options import AudioOptions

DOCS = Path(__file__).resolve().parents[4] / "docs" / "audio.md"


def test_every_option_is_documented_with_its_default() -> None:
    table = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `data.")]
    told = {
        key.strip(" `"): default.strip(" `")
        for line in table
        for key, default in zip(line.split("|")[1].split(","), line.split("|")[2].split(","), strict=True)
    }
    fields = AudioOptions.model_fields
    assert told == {
        f"data.{name}": f"{f.default:g}" if isinstance(f.default, float) else str(f.default)
        for name, f in fields.items()
    }
    assert all(field.description for field in fields.values())
