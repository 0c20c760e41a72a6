# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the receiver of deltas: whatever the bytes, it ends with a code of the engine or with the true file.

``python -m bench.fuzz_delta [CORPUS] [-runs=1000000]`` with any further options of libFuzzer.

Needs ``atheris`` (``pip install atheris``), which is not among this project's requirements; says so and ends well without it.
An input is a byte that chooses a subject of ``tests.delta_subjects``, and a delta for its base without the checksum, which is added:
otherwise nothing would come past it. A mutator of our own spoils numbers inside the coded
recipe half of the time, which blind mutation never reaches. CORPUS starts with the true deltas and keeps what reached further; a finding is written as
``crash-…`` into the current directory. The instrumentation keeps some memory for every run, so the runs are shared among processes, one after another.
"""

import importlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.delta_subjects import Subject

_CORPUS: Final = Path("var/bench/fuzz-delta")
_RUNS: Final = 1_000_000
_RUNS_OF_ONE: Final = 25_000
_CHILD: Final = "--child"


def main() -> int:
    """All runs, with progress; 0 when nothing was found."""
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not installed, and so nothing is fuzzed: pip install atheris")
        return 0
    given = [Path(one) for one in sys.argv[1:] if not one.startswith("-")]
    options = [one for one in sys.argv[1:] if one.startswith("-") and one != _CHILD]
    corpus = given[0] if given else _CORPUS
    corpus.mkdir(parents=True, exist_ok=True)
    if _CHILD in sys.argv:
        return _fuzz(atheris, corpus, options)
    wanted = next((int(one.split("=")[1]) for one in options if one.startswith("-runs=")), _RUNS)
    others = [one for one in options if not one.startswith("-runs=")]
    started = time.monotonic()
    for done in range(0, wanted, _RUNS_OF_ONE):
        runs = min(_RUNS_OF_ONE, wanted - done)
        command = [sys.executable, "-m", "bench.fuzz_delta", _CHILD, str(corpus), f"-runs={runs}", "-verbosity=0", *others]
        if code := subprocess.run(command).returncode:
            print(f"WRONG  a run after the first {done:,} found something (exit status {code})")
            return 1
        print(f"[{done + runs:,}/{wanted:,}] {(done + runs) / (time.monotonic() - started):.0f} a second, nothing found", flush=True)
    return 0


def _fuzz(atheris: Any, corpus: Path, options: list[str]) -> int:
    """As many runs as the options say; libFuzzer ends the process itself."""
    with atheris.instrument_imports(include=["waybill.delta"]):
        from tests.delta_subjects import subjects
        from waybill.delta.numbers import CHECKSUM
    for number, subject in enumerate(subjects()):
        (corpus / f"true-{number}").write_bytes(bytes([number]) + subject.delta[:-CHECKSUM])
    options += [
        default for default in ("-max_len=4096", "-timeout=60") if not any(one.startswith(default.split("=")[0] + "=") for one in options)
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], _Target(subjects()).try_one, custom_mutator=_Mutator(atheris, subjects()).change)
    atheris.Fuzz()
    return 0


class _Target:
    def __init__(self, subjects: "tuple[Subject, ...]") -> None:
        self._subjects = subjects

    def try_one(self, data: bytes) -> None:
        """Raises what must not happen."""
        from tests.delta_subjects import tools
        from waybill.delta.apply import apply
        from waybill.delta.io import BytesReader, MemorySpool
        from waybill.delta.numbers import checksum
        from waybill.errors import WaybillError

        if not data:
            return
        delta = data[1:] + checksum([data[1:]])
        subject = self._subjects[data[0] % len(self._subjects)]
        sink = MemorySpool()
        try:
            apply(BytesReader(subject.base), BytesReader(delta), sink, tools=tools())
        except WaybillError as error:
            if not error.code.startswith("delta."):
                raise
            return
        self._check(subject, delta, sink.read_at(0, sink.size))

    def _check(self, subject: "Subject", delta: bytes, made: bytes) -> None:
        """A head may name any result; but under the true digest there is only the true file."""
        import hashlib

        from waybill.delta import reader
        from waybill.delta.io import BytesReader
        from waybill.delta.limits import Limits

        head = reader.read(BytesReader(delta), Limits()).head
        if hashlib.sha256(made).digest() != head.result_sha256 or len(made) != head.result_size:
            raise AssertionError(f"another file than the head names was accepted against the base of {subject.name}")


class _Mutator:
    def __init__(self, atheris: Any, subjects: "tuple[Subject, ...]") -> None:
        self._atheris = atheris
        self._subjects = subjects

    def change(self, data: bytes, most: int, seed: int) -> bytes:
        """Half of the time libFuzzer's own mutation, else one of numbers behind the coding."""
        from tests.delta_corruptions import spoilt
        from waybill.delta.numbers import CHECKSUM, checksum

        if seed % 2 and len(data) > 1:
            other = self._subjects[seed % len(self._subjects)].delta
            made = spoilt(seed, bytes(data[1:]) + checksum([data[1:]]), other)
            if made is not None and len(made) < most:
                return bytes(data[:1]) + made[:-CHECKSUM]
        mutated: bytes = self._atheris.Mutate(data, most)
        return mutated


if __name__ == "__main__":
    sys.exit(main())
