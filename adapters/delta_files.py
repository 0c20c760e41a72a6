# SPDX-License-Identifier: Apache-2.0
"""Files as the delta engine wants them: read at an offset, and scratch room that has no name and is gone when the work ends."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from adapters.delta_processes import DeltaProcesses
from waybill.delta.io import Progress
from waybill.delta.limits import Limits
from waybill.delta.tools import Tools, silent

_HELD = 1 << 20


class FileReader:
    """An open file, read at offsets. Threads may share it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes; EOFError when the file ends before."""
        parts = []
        while length:
            part = os.pread(self._descriptor, min(length, 1 << 30), offset)
            if not part:
                raise EOFError(f"the file ends at {offset}")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class FileSpool:
    """Scratch on disk without a name. The last bytes are held until they are worth a write."""

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = file.fileno()
        self._written = 0
        self._held = bytearray()

    @property
    def size(self) -> int:
        """How many bytes were appended."""
        return self._written + len(self._held)

    def append(self, data: bytes) -> None:
        """Adds ``data`` at the end."""
        self._held += data
        if len(self._held) >= _HELD:
            self._write()

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise EOFError(f"{offset}+{length} lies outside of {self.size}")
        if offset >= self._written:
            return bytes(self._held[offset - self._written : offset - self._written + length])
        if offset + length > self._written:
            self._write()
        out = os.pread(self._descriptor, length, offset)
        while len(out) < length:
            out += os.pread(self._descriptor, length - len(out), offset + len(out))
        return out

    def _write(self) -> None:
        view = memoryview(self._held)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._written += len(self._held)
        self._held = bytearray()


@contextmanager
def workshop(
    scratch: Path | None, *, limits: Limits | None = None, progress: Progress = silent, native: Path | None = None
) -> Iterator[Tools]:
    """Everything that one run of the engine needs; at the end its helper processes have stopped and its scratch is gone.

    Args:
        scratch: a directory with room for both files opened; None for the system's.
        native: the helper program for alignment; None seeks it beside this installation and on the PATH.
    """
    with ExitStack() as stack:
        processes = stack.enter_context(DeltaProcesses(native=native))

        def spool() -> FileSpool:
            return FileSpool(stack.enter_context(tempfile.TemporaryFile(dir=scratch, prefix="waybill-delta-", buffering=0)))

        yield Tools(processes.encoders, spool, processes.aligner, limits or Limits(), progress)
