"""The claim that a run has on the folder of its log."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
import weakref
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

__all__ = ["Claim"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_MOST_BYTES = 4096


class Claim:
    """A folder held for one run, until it is released or the process ends, however it ends.

    It is a lock of the operating system on a hidden file of the folder, which says whose it is. A
    killed run may leave the file, but not the lock. Shared folders show a lock to other hosts as
    far as their file system does; where there are no locks (some network file systems, Windows)
    nothing is held, and that nothing gets lost rests on the names of a log's parts, which no two
    runs share.

    Args:
        folder: To hold; made if need be.
        run_id: For whom.

    Raises:
        FileExistsError: If another run, or another log of this process, holds it.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self._path = folder / ".lock"
        folder.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            return
        file = self._file = self._lock(folder)
        self._close = weakref.finalize(self, os.close, file)
        said = {
            "run_id": run_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(said).encode(), 0)

    def _lock(self, folder: Path) -> int:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # a run that failed at once has removed the folder meanwhile
                folder.mkdir(parents=True, exist_ok=True)
                continue
            try:
                _take(file)
                if self._is_in_place(file):
                    return file
            except BlockingIOError:
                holder = _holder(file)
                os.close(file)
                raise FileExistsError(
                    f"{folder}: {holder} is writing its log there; choose another folder, or wait "
                    "until it has ended"
                ) from None
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # who held it has removed it meanwhile: there is a new one, or none

    def _is_in_place(self, file: int) -> bool:
        """Whether the path still leads to this file."""
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the folder back; again does nothing."""
        if sys.platform == "win32" or not self._close.alive:
            return
        if self._is_in_place(self._file):
            self._path.unlink(missing_ok=True)  # while nobody else can hold it
        self._close()


def _take(file: int) -> None:
    """Lock a file, where that is possible.

    Raises:
        BlockingIOError: If it is locked.
    """
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _holder(file: int) -> str:
    """What a locked file says of the run that holds it."""
    try:
        said: dict[str, Any] = json.loads(os.pread(file, _MOST_BYTES, 0))
        if (said["host"], said["pid"]) == (socket.gethostname(), os.getpid()):
            return "another log of this process, which was not closed,"
        return (
            f"run {said['run_id']} (process {said['pid']} on {said['host']}, since {said['since']})"
        )
    except (ValueError, KeyError, TypeError):  # it has only just taken it
        return "another run"
