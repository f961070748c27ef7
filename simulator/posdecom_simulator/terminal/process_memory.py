"""What a process can do so that its memory stays in memory: no core dump, and no swap where the system allows it.

Core dumps are switched off twice, by limit and by filter, because a system that pipes them to a program may ignore the
limit (core(5)); both pass to the image that an exec puts in this one's place. Locking needs an unlimited
``RLIMIT_MEMLOCK``, or a later allocation would fail; most systems do not give it to ordinary users, and then pages may
go to the swap. Hibernation, a debugger and whoever may read ``/proc/PID/mem`` are not held off at all.
"""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
"""mlockall(2): pages are locked when they are first used, not read in ahead."""


def protect() -> bool:
    """Switch core dumps of this process off, and lock its memory if that is allowed; returns whether it is locked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # not Linux
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    lock_all = getattr(ctypes.CDLL(None), "mlockall", None)
    return lock_all is not None and lock_all(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
