# SPDX-License-Identifier: Apache-2.0
"""Loopback ports that nobody uses now."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """``count`` different free loopback ports, held open together so that none is given twice."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def is_listening(port: int) -> bool:
    """True when something accepts connections on the loopback ``port``."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
