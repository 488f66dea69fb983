"""An embedding table is whole or not there: what was killed goes on, what does not fit is refused in one line."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ssl_platform import api
from ssl_platform.cli.main import main
from ssl_platform.encoder import Encoder
from ssl_platform.transfer import embedding_parts

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
SMALL = ["data.batch_size=3", "data.workers=0"]  # items of 8 windows: batches end inside items


@pytest.fixture(autouse=True)
def _a_part_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_parts, "PART_SECONDS", 0.0)


def words(encoder: Path, manifest: Path, out: Path, level: str = "item") -> list[str]:
    return [
        "embed",
        "--encoder",
        str(encoder),
        "--manifest",
        str(manifest),
        "--out",
        str(out),
        "--level",
        level,
        *SMALL,
    ]


def killed_after(batches: int, command: list[str]) -> None:
    """Run a command in a child that is killed in the midst of its work."""
    child = os.fork()
    if child == 0:
        calls, forward = [0], Encoder.__call__

        def counting(self: Encoder, *given: object) -> object:
            calls[0] += 1
            if calls[0] > batches:
                os.kill(os.getpid(), signal.SIGKILL)
            return forward(self, *given)  # type: ignore[arg-type]

        Encoder.__call__ = counting  # type: ignore[method-assign]
        main(command)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def columns(path: Path) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(path).to_pydict()
    return table["id"], np.array(table["vector"])


@pytest.mark.parametrize("level", ["item", "window", "token"])
def test_what_was_killed_goes_on(
    level: str, toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, out = toy_encoder(), tmp_path / "a.parquet"
    command = words(encoder, toy_data, out, level)
    killed_after(12, command)  # 36 of 64 windows: four whole items
    folder = tmp_path / "a.parquet.unfinished"
    assert not out.exists() and len(list(folder.glob("*.json"))) > 2
    seen: list[int] = []
    forward = Encoder.__call__

    def counting(self: Encoder, view: object) -> object:
        seen.append(len(view.x))  # type: ignore[attr-defined]
        return forward(self, view)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "__call__", counting)
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr().out
    kept = int(said.split("going on: ")[1].split(" of 8 items")[0])
    assert kept in (3, 4) and sum(seen) == 64 - 8 * kept, "only the items that were missing are embedded"
    assert not folder.exists()
    assert main(words(encoder, toy_data, tmp_path / "whole.parquet", level)) == 0
    (ids, vectors), (expected, oracle) = columns(out), columns(tmp_path / "whole.parquet")
    assert ids == expected
    np.testing.assert_allclose(vectors, oracle, atol=1e-6)


def test_parts_that_are_cut_off_are_made_again(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture
) -> None:
    encoder, out = toy_encoder(), tmp_path / "a.parquet"
    killed_after(12, words(encoder, toy_data, out))
    folder = tmp_path / "a.parquet.unfinished"
    half = sorted(folder.glob("*.parquet"))[1]
    half.write_bytes(half.read_bytes()[:-40])
    out.write_bytes(b"PAR1 half a table of an older call")
    capsys.readouterr()
    assert main(words(encoder, toy_data, out)) == 0
    assert f"{half.name} was cut off; its items are embedded again" in capsys.readouterr().out
    ids, vectors = columns(out)
    assert main(words(encoder, toy_data, tmp_path / "whole.parquet")) == 0
    expected, oracle = columns(tmp_path / "whole.parquet")
    order = np.argsort(ids)
    assert [ids[i] for i in order] == sorted(expected)
    np.testing.assert_allclose(vectors[order], oracle[np.argsort(expected)], atol=1e-6)


def test_parts_of_another_encoder_are_not_mixed_in(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "a.parquet"
    killed_after(12, words(toy_encoder(), toy_data, out))
    other = toy_encoder("other", seed=1)
    capsys.readouterr()
    assert main(words(other, toy_data, out)) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a.parquet.unfinished holds the parts of another table (encoder differ)" in line and "remove that" in line
    lock = {"token": "x", "host": os.uname().nodename, "pid": os.getppid(), "started": ""}
    (tmp_path / "a.parquet.unfinished" / ".writer.json").write_text(json.dumps(lock))
    assert main(words(other, toy_data, out)) == 2
    assert "another process writes this" in capsys.readouterr().err


def test_encoders_that_cannot_be_used_are_refused(
    toy_encoder: Write, toy_data: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, encoder = tmp_path / "a.parquet", toy_encoder()
    foreign = toy_encoder("foreign", domain="medical3d")
    whole = (encoder / "encoder.safetensors").read_bytes()
    for size in (0, 5, 1000, len(whole) - 100):
        (encoder / "encoder.safetensors").write_bytes(whole[:size])
        assert main(words(encoder, toy_data, out)) == 2
        said = capsys.readouterr().err
        line = said.strip().splitlines()[-1]
        assert (
            "Traceback" not in said
            and line.startswith("error: ")
            and "encoder.safetensors: truncated or not an encoder file" in line
        )
    assert main([*words(foreign, toy_data, out), "domain=toy"]) == 2
    assert "trained on domain 'medical3d', the data is 'toy'" in capsys.readouterr().err
    assert not list(tmp_path.glob("a.parquet*"))


def test_nothing_is_left_where_nothing_could_be_read(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    out, interrupted = tmp_path / "a.parquet", KeyboardInterrupt()

    def stop(*_: object) -> None:
        raise interrupted

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Encoder, "__call__", stop)
        api.embed(encoder=toy_encoder(), manifest=toy_data, out=out)
    assert not list(tmp_path.glob("a.parquet*"))
