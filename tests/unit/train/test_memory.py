"""What freed memory costs when it is asked for again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("memory", sys.argv[1])
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)
done = memory.keep_freed_memory() if sys.argv[2] == "keep" else False
for turn in range(6):
    if turn == 2:
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = b"x" * (64 << 20)
    del block
print(int(done), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


def run(mode: str, **environment: str) -> tuple[bool, int]:
    """Whether it was set, and the page faults of four blocks of 64 MiB after two to warm up."""
    from ssl_platform.train import memory

    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-I", "-c", PROGRAM, memory.__file__, mode]
    done = subprocess.run(command, env={**plain, **environment}, capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept == "1", int(faults)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_blocks_used_again_cost_no_page_faults() -> None:
    kept, faults = run("keep")
    if not kept:
        pytest.skip("another C library")
    assert faults < 50
    assert run("leave")[1] > 100  # 65,536 with pages of 4 KiB, 128 with huge pages


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_choice_by_environment_stands() -> None:
    assert run("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] is False
