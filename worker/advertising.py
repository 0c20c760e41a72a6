# SPDX-License-Identifier: Apache-2.0
"""A transfer worker finds out which encoders run here and has the senders of packages told: deltas are made of nothing else.

It computes for some seconds, so it begins when some trust accepts releases, in a thread that takes only what others leave.
"""

import contextlib
import os
import sys
import threading
import time
from typing import Final

import structlog

from waybill.app import inventories
from waybill.errors import WaybillError
from waybill.ports import Ports

EVERY_SECONDS: Final = 3.0
_NICE: Final = 10


def advertise_in_background(ports: Ports, *, every_seconds: float = EVERY_SECONDS) -> threading.Thread:
    """The thread that does it once; it never keeps its process from ending."""
    thread = threading.Thread(target=_advertise, args=(ports, every_seconds), name="advertise", daemon=True)
    thread.start()
    return thread


def _advertise(ports: Ports, every_seconds: float) -> None:
    _step_back()
    while True:
        try:
            if inventories.is_wanted(ports):
                told = inventories.advertise(ports)
                structlog.stdlib.get_logger("waybill.deltas").info("encoders.advertised", told=told)
                return
        except WaybillError as error:
            structlog.stdlib.get_logger("waybill.deltas").warning("encoders.postponed", code=error.code)
        time.sleep(every_seconds)


def _step_back() -> None:
    """This thread and the programs that it starts go after all others. Only Linux has priorities of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
