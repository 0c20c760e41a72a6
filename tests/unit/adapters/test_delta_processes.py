# SPDX-License-Identifier: Apache-2.0
"""Helper programs: what they make, and that nothing they do hangs, floods, leaks or stays behind."""

import itertools
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from adapters.delta_node import NodeDeflate, NodePool
from adapters.delta_processes import DeltaProcesses, GnuGzip, NativeAligner, NativeTokens, ZstdProgram
from adapters.program_pipe import Program, find_program
from waybill.delta.codecs import decode
from waybill.delta.discover import Memory, discover
from waybill.delta.encoder_vectors import noise, vector
from waybill.delta.encoders import PURE_ENCODERS, CorrectingEncoder, Encoder, FramedEncoder, identity_of
from waybill.delta.io import BytesReader, View, whole
from waybill.errors import WaybillError

ROOT = Path(__file__).resolve().parents[3]
MIXED = (vector("text") + bytes(70_000) + noise("mixed", 50_000)) * 3
NODE, GZIP, ZSTD = shutil.which("node"), shutil.which("gzip"), shutil.which("zstd")
needs_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")
needs_gzip = pytest.mark.skipif(GZIP is None, reason="gzip is not installed")
needs_zstd = pytest.mark.skipif(ZSTD is None, reason="the zstd program is not installed")


def _view(data: bytes) -> View:
    return whole(BytesReader(data))


def _made(encoder: Encoder, plain: bytes, corrections: bytes = b"", stride: int = 1 << 18) -> bytes:
    return b"".join(encoder.encode(_view(plain).chunks(stride), corrections))


def _python(code: str) -> tuple[str, ...]:
    """A command that runs ``code``; it finds nothing in its environment."""
    return (sys.executable, "-I", "-S", "-c", code)


@pytest.fixture
def processes() -> Iterator[DeltaProcesses]:
    """The machine's helper programs; afterwards no child of this process is left."""
    before = set(psutil.Process().children())
    with DeltaProcesses() as found:
        yield found
    assert set(psutil.Process().children()) <= before


def _named(processes: DeltaProcesses, name: str) -> Encoder:
    return next(one for one in processes.encoders if one.name == name)


# what they make


@needs_node
@pytest.mark.parametrize("level", [1, 6, 9])
def test_node_makes_what_its_own_zlib_makes(processes: DeltaProcesses, level: int) -> None:
    """The child's stream is that of one call of Node's zlib, however the input is cut."""
    code = f"process.stdout.write(require('zlib').deflateRawSync(require('fs').readFileSync(0),{{level:{level},memLevel:8,windowBits:15}}))"
    assert NODE is not None
    expected = subprocess.run([NODE, "-e", code], input=MIXED, stdout=subprocess.PIPE, check=True).stdout
    encoder = _named(processes, f"node:{level}:8")
    for stride in (10_000, 65_537, 1 << 20):
        assert _made(encoder, MIXED, stride=stride) == expected
    assert zlib.decompress(_made(encoder, b""), -15) == b""


@needs_gzip
def test_gzip_makes_what_it_wraps(processes: DeltaProcesses) -> None:
    """The stream is what the program writes without its header and trailer."""
    assert GZIP is not None
    for plain in (MIXED, b"x", b""):
        for level in (1, 6, 9):
            expected = subprocess.run([GZIP, "-nc", f"-{level}"], input=plain, stdout=subprocess.PIPE, check=True).stdout[10:-8]
            assert _made(_named(processes, f"gnu-gzip:{level}"), plain, stride=9_999) == expected


@needs_zstd
def test_zstd_makes_what_the_program_makes(processes: DeltaProcesses, tmp_path: Path) -> None:
    """From a pipe, from a file with its size, without checksum, with a long window: told by the frame, made again."""
    assert ZSTD is not None
    file = tmp_path / "plain"
    file.write_bytes(MIXED)
    encoder = _named(processes, "zstd-program:3")
    assert isinstance(encoder, FramedEncoder)
    by_pipe = [[ZSTD, "-qc", "-3"], [ZSTD, "-qc", "-3", "--no-check"], [ZSTD, "-qc", "-3", "--long=24"]]
    streams = [subprocess.run(command, input=MIXED, stdout=subprocess.PIPE, check=True).stdout for command in by_pipe]
    streams.append(subprocess.run([ZSTD, "-qc", "-3", str(file)], stdout=subprocess.PIPE, check=True).stdout)
    for coded in streams:
        corrections = encoder.frame(_view(MIXED), _view(coded))
        assert corrections is not None
        assert _made(encoder, MIXED, corrections) == coded
    other = _named(processes, "zstd-program:9")
    assert isinstance(other, FramedEncoder)
    assert other.frame(_view(MIXED), _view(streams[0])) is None


def test_every_helper_has_an_identity_that_lasts(processes: DeltaProcesses) -> None:
    """The same programs in another context are known by what was computed before, and prove the same."""
    some = [one for one in processes.encoders if one.name in {"node:9:8", "gnu-gzip:6", "zstd-program:3", "tokens:1"}]
    ids = [identity_of(one) for one in some]
    assert len({one.digest for one in ids}) == len(ids)
    with DeltaProcesses() as again:
        assert [again.encoders.by_id(one).name for one in ids] == [one.name for one in ids]


def test_pure_encoders_come_first(processes: DeltaProcesses) -> None:
    """What needs no process is tried before what does, and what needs corrections last."""
    names = [one.name for one in processes.encoders]
    assert names[: len(PURE_ENCODERS)] == [one.name for one in PURE_ENCODERS]
    assert all(isinstance(one, CorrectingEncoder) for one in processes.encoders if one.name == "tokens:1")


@needs_node
@needs_gzip
def test_npm_and_gzip_streams_are_found(processes: DeltaProcesses) -> None:
    """Discovery reaches the helpers, soon for what their makers usually write."""
    for name, maker in (("node:9:8", "gzip os=3 xfl=2 flags=0"), ("gnu-gzip:6", "gzip os=3 xfl=0 flags=8")):
        coded = _made(_named(processes, name), MIXED)
        found = discover(_view(MIXED), _view(coded), "deflate", maker, processes.encoders.of_codec("deflate"), Memory())
        assert found is not None
        assert found.encoder.name == name


@needs_node
@needs_gzip
def test_encoders_feed_each_other(processes: DeltaProcesses) -> None:
    """Nested streams take a child each; none waits for another."""
    inner = _named(processes, "node:6:8")
    nested: Iterator[bytes] = _view(MIXED).chunks(40_000)
    for name in ("node:6:8", "gnu-gzip:6", "node:1:8", "node:9:8", "gnu-gzip:1"):
        nested = _named(processes, name).encode(nested)
    data = b"".join(nested)
    for _ in range(4):
        data = zlib.decompress(data, -15)
    assert data == _made(inner, MIXED)


# Node's children


@pytest.fixture
def pool() -> Iterator[NodePool]:
    """A pool of its own."""
    made = NodePool(NODE or "")
    yield made
    made.close()


def _deflate(pool: NodePool, level: int = 6) -> NodeDeflate:
    return NodeDeflate(Program(NODE or "", 0, 0), level, 8, pool)


@needs_node
def test_a_stream_given_up_leaves_a_usable_child(pool: NodePool) -> None:
    """At whatever point a stream is left, the same child serves the next one."""
    encoder = _deflate(pool)
    expected = _made(encoder, MIXED)
    child = pool.take()
    pool.give(child, usable=True)
    plain = noise("given up", 400_000)
    for steps in (1, 2, 3, 5, 100):
        made = encoder.encode(_view(plain).chunks(10_000))
        for _ in itertools.islice(made, steps):
            pass
        del made
        again = pool.take()
        assert again is child
        pool.give(again, usable=True)
    assert _made(encoder, MIXED) == expected


@needs_node
def test_a_killed_child_is_an_error_and_not_the_end(pool: NodePool) -> None:
    """The stream under way fails with delta.tool_failed; the next one has a new child."""
    encoder = _deflate(pool)
    expected = _made(encoder, MIXED)

    def killing() -> Iterator[bytes]:
        yield MIXED[:100_000]
        for each in psutil.Process().children():
            if "delta_node.cjs" in " ".join(each.cmdline()):
                each.kill()
                each.wait()
        yield MIXED[100_000:]

    with pytest.raises(WaybillError, match=r"delta\.tool_failed"):
        list(encoder.encode(killing()))
    assert _made(encoder, MIXED) == expected


@needs_node
def test_a_child_that_died_idle_is_replaced(pool: NodePool) -> None:
    """Nobody notices that a waiting child was ended by the system."""
    encoder = _deflate(pool)
    expected = _made(encoder, MIXED)
    for each in psutil.Process().children():
        if "delta_node.cjs" in " ".join(each.cmdline()):
            each.send_signal(signal.SIGKILL)
            psutil.wait_procs([each], timeout=10)
    assert _made(encoder, MIXED) == expected


@needs_node
def test_an_error_of_the_source_ends_its_child(pool: NodePool) -> None:
    """The half-fed child is not used again, and the error comes through as it was."""

    def broken() -> Iterator[bytes]:
        yield bytes(100_000)
        raise WaybillError("delta.malformed", "broken on purpose")

    with pytest.raises(WaybillError, match="broken on purpose"):
        list(_deflate(pool).encode(broken()))
    assert not [each for each in psutil.Process().children() if "delta_node.cjs" in " ".join(each.cmdline())]


@needs_node
@needs_gzip
def test_helpers_die_with_this_process() -> None:
    """When the process is killed without a chance to clean up, its helpers end too."""
    code = (
        "import sys, psutil, itertools\n"
        "from adapters.delta_processes import DeltaProcesses\n"
        "found = DeltaProcesses()\n"
        "streams = [one.encode(itertools.repeat(bytes(range(256)) * 400)) for one in found.encoders if one.name in ('node:9:8', 'gnu-gzip:9')]\n"
        "for one in streams: next(one)\n"
        "print(*[each.pid for each in psutil.Process().children()], flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_only_programs_that_say_who_they_are_are_taken(tmp_path: Path) -> None:
    """A file that is absent, no program, or another program is passed over."""
    text = tmp_path / "text"
    text.write_text("no program")
    other = _script(tmp_path, "other", "print('something else')")
    right = _script(tmp_path, "right", "import sys; print('name 1', sys.argv[1])")
    found = find_program([None, tmp_path / "absent", text, other, right], "version", b"name 1 version")
    assert found is not None
    assert found.path == str(right)
    assert find_program([text, other], "version", b"name 1") is None


# the native helper


def _script(folder: Path, name: str, code: str) -> Path:
    made = folder / name
    made.write_text(f"#!{sys.executable} -IS\n{code}\n")
    made.chmod(0o700)
    return made


def _helper(folder: Path, code: str) -> Program:
    """A stand-in for the helper that speaks its language."""
    return Program(
        str(_script(folder, "waybill-native", "import sys, struct\ncommand, data = sys.argv[1], sys.stdin.buffer.read()\n" + code)), 0, 0
    )


def _records(folder: Path, *records: tuple[int, int, int], old: int = 100, new: int = 50) -> list[list[int]]:
    code = f"sys.stdout.buffer.write(b''.join(struct.pack('<3q', *one) for one in {records!r}))"
    found = NativeAligner(_helper(folder, code)).align(bytes(old), bytes(new), "fast")
    assert found.dtype == np.int64
    made: list[list[int]] = found.tolist()
    return made


def test_the_aligner_speaks_the_helpers_language(tmp_path: Path) -> None:
    """Mode and lengths go before the two files; records come back as an array of shape (k, 3)."""
    code = (
        "mode, old, new = struct.unpack_from('<BQQ', data)\n"
        "assert data[17:] == b'o' * old + b'n' * new and mode == 1\n"
        "sys.stdout.buffer.write(struct.pack('<3q', 2, new - 2, 1))"
    )
    found = NativeAligner(_helper(tmp_path, code)).align(b"o" * 5, b"n" * 9, "best")
    assert found.tolist() == [[2, 7, 1]]
    assert NativeAligner(_helper(tmp_path, "")).align(b"old", b"", "fast").shape == (0, 3)


@pytest.mark.parametrize(
    "records",
    [
        [(50, 0, 51)], [(-1, 51, 0)], [(0, 49, 0)], [(20, 40, 0)], [(1 << 62, 0, 0)], [(1, 49, 1 << 62)],
        [(0, 25, 0), (0, 25, -1)], [(25, 0, 90), (25, 0, 0)], [],
    ],
)  # fmt: skip
def test_records_that_do_not_fit_are_refused(tmp_path: Path, records: list[tuple[int, int, int]]) -> None:
    """A helper that errs gives an error, never a record outside of the files or a file of another length."""
    with pytest.raises(WaybillError, match=r"delta\.tool_failed"):
        _records(tmp_path, *records)


def test_records_that_fit_are_taken(tmp_path: Path) -> None:
    """Up to the very end of both files."""
    assert _records(tmp_path, (10, 15, 90), (25, 0, 0)) == [[10, 15, 90], [25, 0, 0]]


def test_half_a_record_is_refused(tmp_path: Path) -> None:
    """An answer that is cut."""
    with pytest.raises(WaybillError, match="half a record"):
        NativeAligner(_helper(tmp_path, "sys.stdout.buffer.write(bytes(25))")).align(b"a", b"b", "fast")


def test_corrections_travel_to_and_from_the_helper(tmp_path: Path) -> None:
    """``deflate-correct`` gets both strings behind their lengths, ``deflate-remake`` the corrections and then the content."""
    code = (
        "first = struct.unpack_from('<Q', data)[0]\nhead, rest = data[8:8 + first], data[8 + first:]\n"
        "if command == 'deflate-correct':\n"
        "    if head == b'cannot': sys.exit(3)\n"
        "    length = struct.unpack_from('<Q', rest)[0]\n    assert len(rest) == 8 + length\n    sys.stdout.buffer.write(b'C' + rest[8:])\n"
        "elif head[:1] != b'C': sys.exit(2)\n"
        "else: sys.stdout.buffer.write(head[1:])"
    )
    encoder = NativeTokens(_helper(tmp_path, code))
    assert encoder.correct(_view(b"plain"), _view(b"coded")) == b"Ccoded"
    assert encoder.correct(_view(b"cannot"), _view(b"coded")) is None
    assert _made(encoder, b"plain", b"Ccoded") == b"coded"
    with pytest.raises(WaybillError, match=r"delta\.malformed"):
        _made(encoder, b"plain", b"strange")


def test_a_named_helper_is_the_only_one(tmp_path: Path) -> None:
    """A path that is given replaces the search; a wrong one means no helper."""
    with DeltaProcesses(native=tmp_path / "absent") as found:
        assert found.aligner is None
        assert "tokens:1" not in [one.name for one in found.encoders]
    helper = _helper(tmp_path, "print('waybill-native 1')")
    with DeltaProcesses(native=Path(helper.path)) as found:
        assert found.aligner is not None
        assert [one.name for one in found.encoders][-1] == "tokens:1"


def test_the_real_helper_leads_to_strange_streams(processes: DeltaProcesses) -> None:
    """A stream that no encoder makes is re-made by the helper, if it is built, and identified."""
    tokens = next((one for one in processes.encoders if one.name == "tokens:1"), None)
    if tokens is None:
        pytest.skip("waybill-native is not built (make tools)")
    assert isinstance(tokens, CorrectingEncoder)
    engine = zlib.compressobj(7, zlib.DEFLATED, -13, 5)
    coded = engine.compress(MIXED) + engine.flush()
    corrections = tokens.correct(_view(MIXED), _view(coded))
    assert corrections is not None
    assert len(corrections) < len(coded) // 4
    assert _made(tokens, MIXED, corrections) == coded
    assert b"".join(decode("deflate", _view(coded), len(MIXED))) == MIXED


def test_the_real_aligner_makes_records_that_fit(processes: DeltaProcesses) -> None:
    """The new file is made of the records, the old file and the rest, if the helper is built."""
    if processes.aligner is None:
        pytest.skip("waybill-native is not built (make tools)")
    old = noise("old", 40_000)
    new = old[:10_000] + b"something new" + old[12_000:]
    records = processes.aligner.align(old, new, "best")
    assert int(records[:, :2].sum()) == len(new)
    assert int(records[:, 0].sum()) > 30_000


def test_a_replaced_program_is_another_encoder() -> None:
    """Programs compare by what they are: a changed file is another encoder."""
    assert GnuGzip(Program("/bin/gzip", 1, 2), 6) == GnuGzip(Program("/bin/gzip", 1, 2), 6)
    assert GnuGzip(Program("/bin/gzip", 1, 2), 6) != GnuGzip(Program("/bin/gzip", 1, 3), 6)
    assert ZstdProgram(Program("/bin/zstd", 1, 2), 6).name == "zstd-program:6"
