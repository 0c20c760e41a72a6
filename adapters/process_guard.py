# SPDX-License-Identifier: Apache-2.0
"""Keeps the memory and the environment of this process from other processes of the same user.

Not a boundary against the superuser, and not one on systems without ``prctl``; ``protect_this_process`` says whether it holds.
"""

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def protect_this_process() -> bool:
    """No core dump of this process is ever written; True when, besides, its memory and environment are closed to its own user.

    To be called once, by the composition root of a worker that runs steps: a step could otherwise read ``/proc/<pid>/environ``.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: int = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (AttributeError, OSError):
        return False
    return answer == 0
