# SPDX-License-Identifier: Apache-2.0
"""What opening a container and making its streams again costs: the table by which the planner's choice can be explained.

The first table opens whole packages of each format, the second makes streams of 4 MiB, half native code and half text, by every encoder of this
machine; a correcting one is measured on a stream that no exact one here makes. MB are of opened bytes, CPU seconds are those of helpers too.
"""

import io
import resource
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.fetch_pairs import Pair, load_pairs

_SAMPLE_BYTES: Final = 4 << 20
_MB: Final = 10**6
_BY_FORMAT: Final = ("numpy", "botocore", "typescript", "django-sdist", "bcprov", "python-deb", "tzdata-deb", "openapi-generator")


@dataclass(slots=True)
class _Clock:
    spent: float = 0.0

    def rate(self, size: int) -> str:
        return f"{size / _MB / max(self.spent, 1e-6):10.1f}"


def main(home: Path) -> int:
    """Prints both tables; always 0."""
    pairs = {pair.id: pair for pair in load_pairs() if pair.path(home, "new").exists()}
    _containers([pairs[one] for one in _BY_FORMAT if one in pairs], home)
    _encoders(_sample(pairs, home))
    return 0


def _containers(pairs: list[Pair], home: Path) -> None:
    from adapters.delta_files import FileReader, FileSpool
    from waybill.delta.expand import Node, expand
    from waybill.delta.io import whole
    from waybill.delta.limits import Limits

    def count(node: Node) -> int:
        return 1 + sum(count(child) for child in node.children)

    print(f"{'opening':18} {'format':8} {'file MB':>9} {'opened MB':>10} {'pieces':>8} {'CPU s':>8} {'MB / CPU s':>10}")
    for pair in pairs:
        with pair.path(home, "new").open("rb") as file, tempfile.TemporaryFile(buffering=0) as scratch:
            spool = FileSpool(scratch)
            with _clock() as clock:
                node = expand(whole(FileReader(file)), spool, Limits())
            opened = max(spool.size, 1)
            print(
                f"{pair.id:18} {pair.format:8} {pair.new.size / _MB:9.1f} {opened / _MB:10.1f} {count(node):8,} {clock.spent:8.2f} {clock.rate(opened)}",
                flush=True,
            )


def _encoders(plain: bytes) -> None:
    from adapters.delta_processes import DeltaProcesses
    from waybill.delta.codecs import decode
    from waybill.delta.encoders import CorrectingEncoder
    from waybill.delta.io import BytesReader, whole

    view = whole(BytesReader(plain))
    print(f"\n{'re-making':28} {'codec':10} {'made MB':>8} {'MB / CPU s':>10}   opened again: MB / CPU s")
    with DeltaProcesses() as processes:
        for encoder in processes.encoders:
            if isinstance(encoder, CorrectingEncoder):
                _correcting(encoder, plain)
                continue
            try:
                list(encoder.encode([b"warm"]))
                with _clock() as clock:
                    made = b"".join(encoder.encode(view.chunks()))
                with _clock() as opening:
                    sum(len(part) for part in decode(encoder.codec, whole(BytesReader(made)), len(plain)))
            except Exception as error:
                print(f"{encoder.name:28} {encoder.codec:10} {type(error).__name__}: {str(error)[:80]}", flush=True)
                continue
            print(
                f"{encoder.name:28} {encoder.codec:10} {len(made) / _MB:8.2f} {clock.rate(len(plain))}   {opening.rate(len(plain))}",
                flush=True,
            )


def _correcting(encoder: "object", plain: bytes) -> None:
    from tests.vectors.plain_deflate import deflated_plainly
    from waybill.delta.encoders import CorrectingEncoder
    from waybill.delta.io import BytesReader, whole

    if not isinstance(encoder, CorrectingEncoder):
        raise TypeError("not a correcting encoder")
    view, coded = whole(BytesReader(plain)), deflated_plainly(plain)
    with _clock() as finding:
        corrections = encoder.correct(view, whole(BytesReader(coded)))
    if corrections is None:
        print(f"{encoder.name:28} {encoder.codec:10} has no corrections for the sample", flush=True)
        return
    with _clock() as clock:
        made = b"".join(encoder.encode(view.chunks(), corrections))
    print(
        f"{encoder.name:28} {encoder.codec:10} {len(made) / _MB:8.2f} {clock.rate(len(plain))}   "
        f"corrections: {len(corrections):,} bytes, found at {finding.rate(len(plain)).strip()} MB / CPU s",
        flush=True,
    )


def _sample(pairs: dict[str, Pair], home: Path) -> bytes:
    """Half native code, half text, of true packages where they are there."""
    code = text = b""
    if "numpy" in pairs:
        with zipfile.ZipFile(pairs["numpy"].path(home, "new")) as wheel:
            largest = max((one for one in wheel.infolist() if ".so" in one.filename), key=lambda one: one.file_size)
            code = wheel.read(largest)
    if "django-sdist" in pairs:
        with tarfile.open(pairs["django-sdist"].path(home, "new")) as source:
            files = [file for one in source if (file := source.extractfile(one)) is not None]
            text = b"".join(file.read() for file in files if isinstance(file, io.BufferedReader))
    if not code or not text:
        from waybill.delta.encoder_vectors import vector

        print("packages are missing (bench.fetch_pairs): the sample is made")
        code = text = vector("text") * 64
    half = _SAMPLE_BYTES // 2
    return code[len(code) // 3 :][:half] + text[len(text) // 3 :][:half]


@contextmanager
def _clock() -> Iterator[_Clock]:
    clock = _Clock()
    started = _cpu()
    yield clock
    clock.spent = _cpu() - started


def _cpu() -> float:
    """CPU seconds of this process and its helpers, the living and the ended ones."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total
