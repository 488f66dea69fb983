"""What answering costs: `--help` and listings import nothing heavy. One process measures them all, by `sys.modules`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

CODE = """
import contextlib, io, json, sys
from ssl_platform.cli.main import main

def run(*words):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main(words)
    return code, sorted({name.partition(".")[0] for name in sys.modules})

seen = {"help": run("--help"), "version": run("--version"), "pretrain help": run("pretrain", "--help")}
for words in ("plugins", "objectives", "objectives show mae", "objectives --domain medical3d", "domains", "recipes"):
    seen[words] = run(*words.split())
for words in ("objectives --matrix", "datasets", "plugins --json", "cache", "domains show medical3d"):
    seen[words] = run(*words.split())
seen["print-config"] = run("pretrain", "--domain", "medical3d", "--print-config", "optim.lr=1e-3")
print(json.dumps(seen))
"""
HEAVY = {"torch", "lightning", "monai", "pandas", "timm", "scipy", "nibabel", "SimpleITK", "pydicom"}


def test_imports() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    seen: dict[str, tuple[int, list[str]]] = json.loads(done.stdout)
    for words, (code, modules) in seen.items():
        assert code == 0, words
        assert not HEAVY & set(modules), words
    for words in ("help", "version", "pretrain help"):
        assert not {"pydantic", "numpy", "pyarrow", "pluggy", "yaml", "rich"} & set(seen[words][1]), words
    for words in (
        "plugins",
        "objectives",
        "objectives show mae",
        "objectives --domain medical3d",
        "objectives --matrix",
        "domains",
        "recipes",
        "cache",
    ):
        assert not {"pydantic", "numpy", "pyarrow", "rich"} & set(seen[words][1]), words
    for words in ("domains show medical3d", "print-config"):  # a domain's own keys are declared with pydantic
        assert not {"numpy", "pyarrow", "rich"} & set(seen[words][1]), words


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["--help", "plugins", "objectives --matrix", "domains show medical3d", "recipes", "cache", "datasets"]
)
def test_processor_time(words: str) -> None:
    """Half a second over a bare interpreter, the least of a few tries."""

    def seconds(*code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *code], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(seconds("-c", "pass") for _ in range(3))
    assert min(seconds("-m", "ssl_platform", *words.split()) for _ in range(5)) - bare < 0.5
