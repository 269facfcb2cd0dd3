"""``python -m hwgym`` is the command ``hwgym``."""

from hwgym.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
