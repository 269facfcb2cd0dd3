"""The leaderboard: every agent on every task, scored by its proven regret.

Suites of tasks (:mod:`~hwgym.leaderboard.suites`), sweeps that run agents on them
(:mod:`~hwgym.leaderboard.runner`), submissions that are re-costed before they count
(:mod:`~hwgym.leaderboard.submission`) and may be run again
(:mod:`~hwgym.leaderboard.reproduction`), what it takes to rank (:mod:`~hwgym.leaderboard.rules`),
statistics and the report. On the command line:
``hwgym leaderboard --help``.
"""

from hwgym.leaderboard.runs import Curve, Job, Run, RunError, read_run, read_runs, recost
from hwgym.leaderboard.suites import SUITES, Suite, Task, find_suite

__all__ = [
    "SUITES",
    "Curve",
    "Job",
    "Run",
    "RunError",
    "Suite",
    "Task",
    "find_suite",
    "read_run",
    "read_runs",
    "recost",
]
