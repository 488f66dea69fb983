"""Does every objective learn? Trains each beside its control on sample sets; writes the table of docs/results.md.

    python benchmarks/learning.py                          # all; run it again to go on where it stopped
    python benchmarks/learning.py simclr mae --set audio   # some of it

An arm is a few hundred steps of a small ViT on windows held in memory, then a linear probe on windows of items that
were not trained on (balanced accuracy). The control is the same encoder with random weights, or the method with its
mechanism taken away; a gain of at most 0.03 is measured with two further seeds. Rows are kept by the content of the
objective's own files and of the settings, in tests/learning/table.json; what has not changed is not measured again.
`pytest -m slow tests/learning` measures anew and fails where an objective falls below half of the gain written there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ssl_platform.testing.learning import SETUPS
from ssl_platform.testing.learning_table import Table, measured, page
from ssl_platform.testing.objectives import names

ROOT = Path(__file__).resolve().parents[1]
TABLE, RESULTS = ROOT / "tests" / "learning" / "table.json", ROOT / "docs" / "results.md"
BEGIN, END = "<!-- learning: written by benchmarks/learning.py -->\n", "<!-- end of learning -->"


def main(arguments: Sequence[str]) -> int:
    """Measure what is missing and write the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objectives", nargs="*", default=[])
    parser.add_argument("--set", action="append", choices=list(SETUPS), help="only this sample set")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    args = parser.parse_args(list(arguments))
    table = Table.read(TABLE)
    for name in [] if args.page else args.objectives or names():
        for data in args.set or SETUPS:
            if table.current(name, data):
                continue
            row = measured(name, data)
            table = Table.read(TABLE)  # another process may have added to it meanwhile
            table.put(row)
            table.write(TABLE)
            print(row.line(), flush=True)
    text = RESULTS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    RESULTS.write_text(before + BEGIN + page(table) + END + rest.split(END)[1], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
