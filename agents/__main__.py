"""``python -m agents`` is ``hwgym train``."""

import sys

from hwgym.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
