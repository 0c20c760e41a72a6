# SPDX-License-Identifier: Apache-2.0
"""The native helper: its own tests in Go, and what it does for the engine. Not part of the everyday loop, for its minute."""

import fcntl
import os
import random
import shutil
import subprocess
import sys
import termios
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from zlib_ng import zlib_ng

from adapters.delta_processes import DeltaProcesses, NativeTokens
from waybill.delta.encoder_vectors import vector
from waybill.delta.encoders import CorrectingEncoder, identity_of
from waybill.delta.io import Aligner, BytesReader, whole
from waybill.errors import WaybillError

SOURCES = Path(__file__).resolve().parents[2] / "tools" / "native"
CHANCE = random.Random(9)
PLAIN = b"".join(CHANCE.choice((b"alpha ", b"beta, ", b"gamma; ", CHANCE.randbytes(9))) for _ in range(20_000))


def _without(what: str) -> None:
    """Skips, where the helper may be left out; ``make test`` builds it."""
    if os.environ.get("WAYBILL_REQUIRE_SERVERS"):
        pytest.fail(f"{what} (make tools)")
    pytest.skip(f"{what} (make tools)")


@pytest.fixture(scope="module")
def processes() -> Iterator[DeltaProcesses]:
    with DeltaProcesses() as found:
        if found.aligner is None:
            _without("waybill-native is not built")
        yield found


@pytest.fixture
def aligner(processes: DeltaProcesses) -> Aligner:
    assert processes.aligner is not None
    return processes.aligner


@pytest.fixture
def tokens(processes: DeltaProcesses) -> CorrectingEncoder:
    found = next(one for one in processes.encoders if one.name == "tokens:1")
    assert isinstance(found, CorrectingEncoder)
    return found


@pytest.mark.timeout(400)
@pytest.mark.parametrize("command", [["go", "vet", "./..."], ["go", "test", "./..."]])
def test_its_own_tests(command: list[str]) -> None:
    """Pass, in Go."""
    if shutil.which("go") is None:
        _without("Go is not installed")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    done = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, timeout=390, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_it_dies_with_whoever_started_it(processes: DeltaProcesses) -> None:
    """Also while it waits for input that somebody else keeps open: nobody is left to read what it computes."""
    found = next(one for one in processes.encoders if one.name == "tokens:1")
    assert isinstance(found, NativeTokens)
    code = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.argv[1], 'align'], stdin=int(sys.argv[2]), stdout=subprocess.DEVNULL).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    held, open_end = os.pipe()
    command = [sys.executable, "-c", code, found.program.path, str(held)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[held]) as parent:
        assert parent.stdout is not None
        helper = psutil.Process(int(parent.stdout.readline()))
        os.write(open_end, bytes(5))
        while int.from_bytes(fcntl.ioctl(held, termios.FIONREAD, bytes(4)), sys.byteorder):  # it has not begun to read
            time.sleep(0.01)
        parent.kill()
    _, alive = psutil.wait_procs([helper], timeout=20)
    os.close(held)
    os.close(open_end)
    assert not alive


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_edits_moves_and_insertions_are_found(aligner: Aligner, mode: str) -> None:
    """Little is left to be told, and what the records say makes the new file."""
    old = CHANCE.randbytes(200_000)
    new = bytearray(old[100_000:150_000] + b"inserted" + old[:100_000] + old[160_000:])
    for _ in range(200):
        new[CHANCE.randrange(len(new))] ^= 64
    records = aligner.align(old, bytes(new), "best" if mode == "best" else "fast")
    places = np.cumsum(records[:, :2].sum(axis=1)) - records[:, :2].sum(axis=1)
    assert int(records[:, :2].sum()) == len(new)
    same = sum(
        sum(a == b for a, b in zip(old[where : where + copy], new[at : at + copy], strict=True))
        for (copy, _, where), at in zip(records.tolist(), places.tolist(), strict=True)
    )
    assert same > len(new) - 1000


def test_equal_files_are_one_record_and_empty_files_are_no_problem(aligner: Aligner) -> None:
    data = CHANCE.randbytes(50_000)
    assert aligner.align(data, data, "fast").tolist() == [[50_000, 0, 0]]
    assert aligner.align(b"", data, "best").tolist() == [[0, 50_000, 0]]
    assert int(aligner.align(data, b"", "best")[:, :2].sum()) == 0


def _streams() -> Iterator[tuple[str, bytes]]:
    for level in range(1, 10):
        for memory in (1, 5, 9):
            engine = zlib.compressobj(level, zlib.DEFLATED, -15, memory)
            yield f"zlib {level} {memory}", engine.compress(PLAIN) + engine.flush()
        other = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -15)
        yield f"zlib-ng {level}", other.compress(PLAIN) + other.flush()
    engine = zlib.compressobj(6, zlib.DEFLATED, -12)
    parts = [engine.compress(PLAIN[at : at + 7001]) + engine.flush(zlib.Z_SYNC_FLUSH) for at in range(0, len(PLAIN), 7001)]
    yield "flushed often, small window", b"".join(parts) + engine.flush()


def test_who_it_is_never_changes(tokens: CorrectingEncoder) -> None:
    """Each sample leads to a stream of its vector, the same as on the day when the encoder got its name."""
    for name, corrections in tokens.samples:
        assert zlib.decompress(b"".join(tokens.encode([vector(name)], corrections)), -15) == vector(name)
    assert identity_of(tokens).digest.hex() == "19d764f90a161d232a420f9fb6a7eab1"


@pytest.mark.parametrize(("name", "coded"), list(_streams()), ids=[name for name, _ in _streams()])
def test_streams_of_many_writers_are_made_again(tokens: CorrectingEncoder, name: str, coded: bytes) -> None:
    """With corrections that are a small part of them, except for writers that are like none; never another stream."""
    corrections = tokens.correct(whole(BytesReader(PLAIN)), whole(BytesReader(coded)))
    if corrections is None:
        assert name.startswith("zlib-ng")
        return
    assert len(corrections) < len(coded) // 4
    assert b"".join(tokens.encode([PLAIN], corrections)) == coded


def test_spoilt_corrections_never_hang_or_crash(tokens: CorrectingEncoder) -> None:
    """They are refused with a code, or make another stream, which the digest of the result tells."""
    engine = zlib.compressobj(7, zlib.DEFLATED, -13, 5)
    plain = PLAIN[:20_000]
    coded = engine.compress(plain) + engine.flush()
    corrections = tokens.correct(whole(BytesReader(plain)), whole(BytesReader(coded)))
    assert corrections is not None
    spoilt = [
        bytes([*corrections[:at], corrections[at] ^ bit, *corrections[at + 1 :]]) for at in range(len(corrections)) for bit in (1, 128)
    ]
    ends = set()
    for one in [*spoilt, *(corrections[:cut] for cut in range(len(corrections))), corrections + b"\0"]:
        try:
            ends.add("made" if b"".join(tokens.encode([plain], one)) else "nothing")
        except WaybillError as error:
            ends.add(error.code)
    assert ends <= {"made", "delta.malformed"}
    assert "delta.malformed" in ends
