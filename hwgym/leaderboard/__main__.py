"""``python -m hwgym.leaderboard``, the same as ``hwgym leaderboard``."""

import sys

if __name__ == "__main__":
    try:
        from hwgym.leaderboard.cli import app
    except ImportError as error:
        sys.exit(f"error: {error}")
    app(prog_name="python -m hwgym.leaderboard")
