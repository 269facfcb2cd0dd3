"""``python -m hwgym.leaderboard``, the same as ``hwgym leaderboard``."""

from hwgym.leaderboard.cli import app

if __name__ == "__main__":
    app(prog_name="python -m hwgym.leaderboard")
