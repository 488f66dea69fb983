"""`python -m ssl_platform` is the command line (for torchrun and srun)."""

import sys

from ssl_platform.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
