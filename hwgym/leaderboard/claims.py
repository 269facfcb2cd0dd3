"""Claims, by which sweeps that share a folder keep out of each other's way.

A claim is a file beside the run's, made before the run begins and touched while it goes on. One
that has not been touched for a while, or whose process has died on this machine, is stale and may
be taken over. Two sweeps may in rare moments take over the same claim; then both do the run, with
the same result, and the second file replaces the first: claims save work, correctness does not rest
on them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import uuid
from pathlib import Path

from hwgym.leaderboard.runs import Job

__all__ = ["Claims"]

HEARTBEAT = 10.0
STALE = 90.0


class Claims:
    """The claims of one sweep in a folder.

    Args:
        folder: Of the runs.
        stale: Seconds without a touch after which another sweep's claim counts no longer.
    """

    def __init__(self, folder: Path, stale: float = STALE) -> None:
        self.folder, self.stale = folder, stale
        self._held: dict[Path, Path] = {}
        self._touched = time.monotonic()

    def take(self, job: Job) -> bool:
        """Claim a run; False if another sweep has it."""
        path = (self.folder / job.file).with_suffix(".claim")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Noted before there is a file, as an interruption may come in between.
        self._held[job.file] = path
        if self._create(path) or self._take_over(path):
            return True
        del self._held[job.file]
        return False

    def _take_over(self, path: Path) -> bool:
        """Of a claim that is stale: put one's own in its place."""
        if not self._is_stale(path):
            return False
        # Of several sweeps that see this, the one whose renaming works goes on.
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        aside.unlink(missing_ok=True)
        return self._create(path)

    def _create(self, path: Path) -> bool:
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(self._owner(), file)
        except FileExistsError:
            return False
        return True

    @staticmethod
    def _owner() -> dict[str, str | int]:
        return {"node": platform.node(), "pid": os.getpid()}

    def _is_stale(self, path: Path) -> bool:
        try:
            age = self._now() - path.stat().st_mtime
            owner = json.loads(path.read_text(encoding="utf-8"))
            gone = owner["node"] == platform.node() and not _alive(int(owner["pid"]))
        except FileNotFoundError:
            return False  # just released
        except (KeyError, TypeError, ValueError):
            gone = False  # just being written, or damaged
        return gone or age > self.stale

    def _now(self) -> float:
        """The time by the clock of the machine that holds the folder."""
        probe = self.folder / f".{uuid.uuid4().hex}.clock"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()

    def release(self, job: Job) -> None:
        """Give a claim back."""
        self._held[job.file].unlink(missing_ok=True)
        del self._held[job.file]

    def release_all(self) -> None:
        """Give all claims back, one included in whose taking the sweep was interrupted."""
        for path in self._held.values():
            if self._is_ours(path):
                path.unlink(missing_ok=True)
        self._held.clear()

    def _is_ours(self, path: Path) -> bool:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False
        return text in ("", json.dumps(self._owner()))

    def touch(self) -> None:
        """Show that this sweep is alive, now and then."""
        if time.monotonic() - self._touched > HEARTBEAT:
            self._touched = time.monotonic()
            for path in self._held.values():
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
