"""Settings of the whole suite: one thread, no network, real data where it lies, a time budget for every folder."""

from __future__ import annotations

import gc
import os
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUDGET_MINUTES = {
    "unit": 4.0,
    "contracts": 1.0,
    "parity": 3.0,
    "ddp": 1.5,
    "conformance": 6.0,
    "cli": 3.0,
    "faults": 1.0,
    "e2e": 4.0,
    "learning": 0.5,
}
TOY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""
_spent: dict[str, float] = defaultdict(float)


def pytest_collection_finish() -> None:
    """Thousands of collected tests live to the end: the collector need not look through them again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Everything is let go in order at the end."""
    gc.unfreeze()


def _folder(nodeid: str) -> str:
    parts = Path(nodeid.split("::")[0]).parts
    return parts[1] if len(parts) > 2 else ""


def _processor_seconds() -> float:
    """Of this process and of those it waited for: what a test costs, whatever else the machine does."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    start = _processor_seconds()
    found = yield
    _spent[_folder(item.nodeid)] += _processor_seconds() - start
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [(folder, _spent[folder] / 60, limit) for folder, limit in BUDGET_MINUTES.items() if _spent[folder] > 1]
    if rows:
        line = ", ".join(f"{folder} {minutes:.2f}/{limit:g}" for folder, minutes, limit in rows)
        terminalreporter.write_line(f"minutes of processor time spent/allowed by folder: {line}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Over budget fails the suite in CI; elsewhere the summary line tells."""
    if not os.environ.get("CI") or session.config.option.markexpr != "not slow":
        return
    over = [f for f, limit in BUDGET_MINUTES.items() if _spent[f] > 60 * limit]
    if over and exitstatus == 0:
        print(f"\nover the time budget: {', '.join(over)} (see BUDGET_MINUTES in tests/conftest.py)")
        session.exitstatus = 1


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test tried to reach {address!r}: tests use no network")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prepared items of the suite live in a folder of its own."""
    os.environ["SSL_PLATFORM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files beside the checkout; tests that ask for it skip where it is absent."""
    folder = Path(os.environ.get("SSL_PLATFORM_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real data folder is not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _seed() -> None:
    import sys

    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Installs a plugin for one test: `install("acme-audio", CODE)`; returns the entry point's name."""
    import importlib
    import sys

    from ssl_platform import plugins
    from ssl_platform.testing.distribution import write_distribution

    modules: list[str] = []

    def one(distribution: str, code: str, **options: str) -> str:
        module = f"plugin_{distribution.replace('-', '_')}"
        folder = write_distribution(tmp_path / distribution, distribution, module, code, **options)
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        modules.append(module)
        return options.get("name", module)

    monkeypatch.delenv("SSL_PLATFORM_DISABLE_PLUGINS", raising=False)
    plugins.reset()
    yield one
    plugins.reset()
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Finds projects that were written but not installed: `linked(*folders)`, of `link_project`."""
    import importlib
    import sys

    from ssl_platform import plugins

    before = set(sys.modules)

    def find(*folders: Path) -> None:
        for folder in folders:
            monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        plugins.reset()

    yield find
    plugins.reset()
    for name in set(sys.modules) - before:
        if name.startswith(("ssl_platform_sonar", "ssl_platform_sphere")):
            del sys.modules[name]


@pytest.fixture
def toy_encoder(install: Callable[..., str], tmp_path: Path) -> Callable[..., Path]:
    """`toy_encoder("a", seed=1)` writes an encoder of random weights as the run folder `a`, and returns it."""
    install("ssl-platform-toy", TOY)

    def write(name: str = "encoder", seed: int = 0, domain: str = "toy", backbone: str = "vit-pico") -> Path:
        import torch

        from ssl_platform import encoder as files
        from ssl_platform.encoder import build_backbone
        from ssl_platform.encoder_record import EncoderRecord
        from ssl_platform.input_contract import InputContract
        from ssl_platform.nn.spec import BackboneSpec
        from ssl_platform.testing.toy_domain import ToyDomain

        torch.manual_seed(seed)
        settings = {"dim": 24, "depth": 1, "heads": 2} if backbone == "vit-pico" else {}
        spec = BackboneSpec(backbone, ToyDomain.layout, ("c0",), (16, 16, 16), (8, 8, 8), settings)
        model = build_backbone(spec)
        model.normaliser.set(torch.tensor([0.1]), torch.tensor([1.3]))
        contract = InputContract("C D H W", ("c0",), ("",), (2.0, 2.0, 2.0), "mm", (16, 16, 16), {})
        folder = tmp_path / name
        folder.mkdir()
        files.write(folder, model, EncoderRecord(spec, contract, domain, "mae", 7))
        return folder

    return write


@pytest.fixture
def toy_data(tmp_path: Path) -> Path:
    """The toy domain's sample set: eight items of two classes; the manifest."""
    from ssl_platform.testing.toy_domain import ToyDomain

    return ToyDomain(ToyDomain.Options()).sample_data(tmp_path / "data")


@pytest.fixture
def toy_masks(tmp_path: Path) -> Path:
    """Ten noisy volumes of 16 cells with a bright ball and its mask (7 is the ball), split 6/2/2; the manifest."""
    import numpy as np

    folder = tmp_path / "balls"
    folder.mkdir()
    rng, lines = np.random.default_rng(0), ["path,mask,split"]
    for i in range(10):
        cells = np.indices((16, 16, 16)) - rng.integers(5, 11, (3, 1, 1, 1))
        ball = (cells**2).sum(0) < 16
        np.save(folder / f"item{i}.npy", (0.3 * rng.normal(size=ball.shape) + 2 * ball).astype(np.float32))
        np.save(folder / f"ball{i}.npy", (7 * ball).astype(np.uint8))
        lines.append(f"item{i}.npy,ball{i}.npy,{'train' if i < 6 else 'val' if i < 8 else 'test'}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest
