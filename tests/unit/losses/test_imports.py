"""Losses and measures stay usable by whoever wants only them."""

from __future__ import annotations

import subprocess
import sys


def test_losses_and_measures_import_torch_only() -> None:
    code = (
        "import sys, ssl_platform.losses, ssl_platform.measures;"
        "heavy = {'lightning', 'pytorch_lightning', 'monai', 'pandas', 'timm', 'pydantic', 'pyarrow', 'click'};"
        "ours = sorted(m for m in sys.modules if m.startswith('ssl_platform.') and m.split('.')[1] not in"
        " {'losses', 'measures', 'distributed'});"
        "print(sorted(heavy & set(sys.modules)), ours)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
