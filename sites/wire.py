# SPDX-License-Identifier: Apache-2.0
"""A wire between two sites that counts what crosses it, and that can be paused or cut: for the demo, for faults in tests, for benches.

It looks into nothing (TLS passes through unread) and listens on the loopback interface only.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

_BLOCK_BYTES = 256 * 1024


class Wire:
    """A TCP proxy on ``127.0.0.1:port`` to one target. ``with Wire(...) as wire`` listens; at the end no thread or socket is left.

    Args:
        host, port: where the bytes go.
        listen_port: 0 takes a free one.
    """

    def __init__(self, host: str, port: int, *, listen_port: int = 0) -> None:
        self._target = (host, port)
        self._listen_port = listen_port
        self._lock = threading.Lock()
        self._counts = {"there": 0, "back": 0}
        self._flowing = threading.Event()
        self._flowing.set()
        self._cut_after: int | None = None
        self._whole = True
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def __enter__(self) -> "Wire":
        self._listener = socket.create_server(("127.0.0.1", self._listen_port))
        self._spawn(self._accept, self._listener)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()
        self._flowing.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
            self._listener.close()
        for thread in list(self._threads):
            thread.join(timeout=10)

    @property
    def port(self) -> int:
        """The port to connect to."""
        if self._listener is None:
            raise RuntimeError("the wire is not open")
        return int(self._listener.getsockname()[1])

    @property
    def bytes_there(self) -> int:
        """Bytes that went to the target so far, TLS and headers included."""
        return self._counts["there"]

    @property
    def bytes_back(self) -> int:
        """Bytes that came from the target so far, TLS and headers included."""
        return self._counts["back"]

    @property
    def bytes_total(self) -> int:
        """Bytes in both directions so far."""
        with self._lock:
            return sum(self._counts.values())

    def pause(self) -> None:
        """Nothing passes until ``resume``; connections stay open."""
        self._flowing.clear()

    def resume(self) -> None:
        """What waits goes on."""
        self._flowing.set()

    def cut(self) -> None:
        """Every connection is broken, and new ones break at once, until ``mend``."""
        with self._lock:
            self._whole = False
            for side in self._sockets:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def cut_after(self, size_bytes: int) -> None:
        """The wire cuts itself once ``size_bytes`` more have passed, both directions counted."""
        with self._lock:
            self._cut_after = sum(self._counts.values()) + size_bytes

    def mend(self) -> None:
        """New connections pass again."""
        with self._lock:
            self._whole, self._cut_after = True, None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                whole = self._whole
            if not whole:
                near.close()
                continue
            try:
                far = socket.create_connection(self._target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._join(near, far)

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            if self._whole:
                self._sockets |= {near, far}
        if near not in self._sockets:  # cut while it was being made
            near.close()
            far.close()
            return
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._spawn(self._carry, near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """Both directions of one connection; closes it when both have ended."""
        back = threading.Thread(target=self._pump, args=(far, near, "back"), name="wire-back", daemon=True)
        back.start()
        self._pump(near, far, "there")
        back.join()
        with self._lock:
            self._sockets -= {near, far}
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        buffer = memoryview(bytearray(_BLOCK_BYTES))
        try:
            while size := source.recv_into(buffer):
                self._flowing.wait()
                sink.sendall(buffer[:size])
                if self._count(direction, size):
                    self.cut()
        except OSError:
            pass
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RD if side is source else socket.SHUT_WR)

    def _count(self, direction: str, size: int) -> bool:
        """Add, and say whether the wire is to be cut now."""
        with self._lock:
            self._counts[direction] += size
            return self._cut_after is not None and sum(self._counts.values()) >= self._cut_after

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="wire", daemon=True)
        self._threads.append(thread)
        thread.start()
