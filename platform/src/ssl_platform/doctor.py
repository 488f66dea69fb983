"""Does each thing a run needs once, not only the imports, and says what fails.

Every check is a function without arguments that returns one line, or raises with the cause.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ssl_platform.plugins import CheckDeclaration, Declaration

Check = Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """One line of `ssl-platform doctor`.

    Attributes:
        name: what was checked.
        status: `ok`, `failed`, or `absent` for something optional.
        detail: what was found, or the cause.
        seconds: time it took.
    """

    name: str
    status: Literal["ok", "failed", "absent"]
    detail: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def examine() -> Iterable[Finding]:
    """Run all checks, the core's and the plugins', one after the other."""
    from ssl_platform.plugins import registry

    for name, check in CHECKS.items():
        yield run(name, check, optional=name in OPTIONAL)
    known = registry()
    for record in known.records:
        status: Literal["ok", "failed", "absent"] = "ok" if record.status == "ok" else "failed"
        status = "absent" if record.status == "disabled" else status
        heavy = f"; its import pulls in {', '.join(record.heavy)}, which slows every command" if record.heavy else ""
        detail = f"{record.distribution} {record.version}: {record.cause or 'ok'}{heavy}"
        yield Finding(f"plugin {record.name}", "failed" if heavy else status, detail, record.milliseconds / 1000)
    for declaration in [*known.domains(), *known.objectives()]:
        kind = type(declaration).__name__.removesuffix("Declaration").lower()
        yield run(f"{kind} {declaration.name}", partial(_imports, declaration))
    for extra in known.checks():
        yield run(extra.name, partial(_plugin_check, extra))


def run(name: str, check: Check, optional: bool = False) -> Finding:
    """Run one check; whatever it raises becomes a line."""
    start = time.perf_counter()
    try:
        status: Literal["ok", "failed", "absent"] = "ok"
        detail = check()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        status = "absent" if optional else "failed"
        detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Finding(name, status, detail, round(time.perf_counter() - start, 2))


def _imports(declaration: Declaration) -> str:
    from ssl_platform.plugins import registry

    registry().load(declaration)
    return declaration.factory


def _plugin_check(declaration: CheckDeclaration) -> str:
    from ssl_platform.plugins import registry

    check: Any = registry().load(declaration)
    return str(check())


# ------------------------------------------------------------------------------------------------------- the checks
def check_python() -> str:
    """Interpreter and machine."""
    import ssl_platform

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"ssl-platform {ssl_platform.__version__}, Python {platform.python_version()}"
    return f"{versions}, {sys.platform}, {cpus} CPUs granted"


def check_autograd() -> str:
    """A matrix product and its gradient against the closed form."""
    import torch

    x = torch.arange(6.0, dtype=torch.float64).view(2, 3).requires_grad_()
    w = torch.full((3, 2), 0.5, dtype=torch.float64)
    (x @ w).square().sum().backward()
    if x.grad is None or not torch.allclose(x.grad, 2 * (x.detach() @ w) @ w.T):
        raise RuntimeError("the gradient of a matrix product is wrong")
    return f"torch {torch.__version__}: product and gradient are right, {torch.get_num_threads()} threads"


def check_devices() -> str:
    """A product on every GPU."""
    import torch

    count = torch.cuda.device_count()
    if not torch.cuda.is_available() or not count:
        return "no GPU: runs use the CPU"
    lines = []
    for number in range(count):
        x = torch.ones(64, 64, device=f"cuda:{number}")
        if float((x @ x).sum()) != 64.0**3:
            raise RuntimeError(f"cuda:{number} computes a wrong product")
        free, total = torch.cuda.mem_get_info(number)
        lines.append(f"{torch.cuda.get_device_name(number)} ({free / 2**30:.0f} of {total / 2**30:.0f} GiB free)")
    return ", ".join(lines)


def check_compile() -> str:
    """`torch.compile` of a small function (only `trainer.compile=true` needs it)."""
    import torch

    x = torch.arange(8.0)
    if not torch.equal(torch.compile(_doubled)(x), _doubled(x)):
        raise RuntimeError("the compiled function gives another result")
    return "torch.compile works"


def _doubled(x: Any) -> Any:
    return x * 2 + 1


def check_workers() -> str:
    """A spawned data-loader worker hands over a batch."""
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(range(4), batch_size=4, num_workers=1, multiprocessing_context="spawn")  # type: ignore[arg-type]
    if next(iter(loader)).tolist() != [0, 1, 2, 3]:
        raise RuntimeError("a worker handed over a wrong batch")
    return "a spawned worker hands over batches"


def check_processes() -> str:
    """A process group over gloo (DDP on CPUs)."""
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        return f"in a group of {dist.get_world_size()}"
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            total = torch.ones(2)
            dist.all_reduce(total)
        finally:
            dist.destroy_process_group()
    return "gloo starts and reduces"


def check_cache() -> str:
    """Write, rename and read in the cache folder."""
    from ssl_platform.data.upkeep import default_folder

    return _writes(default_folder())


def check_runs() -> str:
    """Write, rename and read where run folders go."""
    return _writes(Path("runs") if Path("runs").is_dir() else Path.cwd())


def _writes(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as name:
        temporary, final = Path(name, "temporary"), Path(name, "final")
        with temporary.open("wb") as file:
            file.write(b"ssl-platform")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(final)
        if final.read_bytes() != b"ssl-platform":
            raise OSError(f"{folder}: what was written is not what is read")
    return f"{folder}: writes and renames, {shutil.disk_usage(folder).free / 1e9:.0f} GB free"


def check_safetensors() -> str:
    """Weights written are the weights read."""
    import torch
    from safetensors.torch import load, save

    weights = {"w": torch.arange(6.0).view(2, 3)}
    if not torch.equal(load(save(weights))["w"], weights["w"]):
        raise RuntimeError("weights change in a round trip")
    return "safetensors round trip"


def check_trainer() -> str:
    """Lightning's Trainer can be made."""
    import logging

    import lightning
    from lightning.pytorch import Trainer

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # only now: its import sets its own level
    Trainer(
        accelerator="cpu", devices=1, max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    return f"lightning {lightning.__version__}"


def check_parquet() -> str:
    """A table written is the table read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": ["a", "b"]})
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(table, f"{folder}/t.parquet")
        if not pq.read_table(f"{folder}/t.parquet").equals(table):
            raise RuntimeError("a table changes in a round trip")
    return f"pyarrow {pa.__version__}"


CHECKS: dict[str, Check] = {
    "python": check_python,
    "autograd": check_autograd,
    "devices": check_devices,
    "compile": check_compile,
    "workers": check_workers,
    "processes": check_processes,
    "trainer": check_trainer,
    "cache folder": check_cache,
    "run folder": check_runs,
    "safetensors": check_safetensors,
    "parquet": check_parquet,
}
OPTIONAL = ("compile",)
