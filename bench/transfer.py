# SPDX-License-Identifier: Apache-2.0
"""How fast one package crosses from the S3 server of one site to that of another, against boto3 in the same run, and with how much memory.

``python -m bench.transfer [--size-mib 2048] [--rounds 3] [--part-mib 8] [--concurrency 4] [--directory DIR]``

Each copy runs in a process of its own: ours is ``download_blob`` over a granted URL, exactly what a transfer worker does; the peers are
boto3 copying ranges in parallel and boto3's own ``upload_fileobj`` of one stream, both with our part size and concurrency.
Both servers speak TLS. Our verifying re-read, which boto3 does not do, is printed apart. The medians of the rounds count.
"""

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from tests.servers import S3Server, run_versitygw

_MIB = 1024 * 1024
_TARGET_RATIO = 0.8
_TARGET_RSS_MIB = 300
_KINDS = ("waybill", "boto3 parts", "boto3 stream")


def main() -> int:
    """Prints the figures; 0 when the targets are met."""
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_copy(arguments.child, json.load(sys.stdin))))
        return 0
    home = contextlib.nullcontext(None) if arguments.directory is None else tempfile.TemporaryDirectory(dir=arguments.directory)
    with (
        home as made,
        run_versitygw(tls=True, directory=_inside(made, "source")) as source,
        run_versitygw(tls=True, directory=_inside(made, "target")) as target,
    ):
        objects = source.objects()
        size = arguments.size_mib * _MIB
        sha256, _ = objects.write("package", _random_bytes(size))
        results: dict[str, list[dict[str, float]]] = {kind: [] for kind in _KINDS}
        for number in range(arguments.rounds):
            for kind in _KINDS if number % 2 == 0 else reversed(_KINDS):
                results[kind].append(_in_child(kind, source, target, sha256=sha256, size=size, arguments=arguments))
    return _report(results, size=size)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part-mib", type=int, default=8)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--directory", help="where both servers keep their data; memory (tmpfs) leaves the disk out of the figures")
    parser.add_argument("--child", choices=_KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _inside(home: str | None, name: str) -> Path | None:
    return None if home is None else Path(home) / name


def _random_bytes(size: int) -> Iterator[bytes]:
    block = secrets.token_bytes(_MIB)
    for number in range(size // _MIB):
        yield number.to_bytes(8, "big") + block[8:]


def _in_child(kind: str, source: S3Server, target: S3Server, *, sha256: str, size: int, arguments: argparse.Namespace) -> dict[str, float]:
    """One copy in a process of its own; what it needs, secrets too, goes through its standard input."""
    order = {
        "source": asdict(source.settings()),
        "target": asdict(target.settings()),
        "url": source.objects().grant_get("package", seconds=3600),
        "ca_pem": source.ca_pem,
        "sha256": sha256,
        "size": size,
        "part_size": arguments.part_mib * _MIB,
        "concurrency": arguments.concurrency,
    }
    os.sync()  # the dirty pages of the copy before must not slow this one
    done = subprocess.run(
        [sys.executable, "-m", "bench.transfer", "--child", kind],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    result: dict[str, float] = json.loads(done.stdout)
    print(
        f"  {kind:13} {size / _MIB / result['seconds']:7.0f} MiB/s   re-read {result['hash_seconds']:5.1f} s"
        f"   cpu {result['cpu_seconds']:5.1f} s   peak RSS {result['rss_mib']:5.0f} MiB",
        flush=True,
    )
    return result


def _copy(kind: str, order: dict[str, Any]) -> dict[str, float]:
    started = time.monotonic()
    if kind == "waybill":
        seconds, hash_seconds = _copy_ours(order)
    else:
        (_copy_parts if kind == "boto3 parts" else _copy_stream)(order)
        seconds, hash_seconds = time.monotonic() - started, 0.0
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    _client(order, "target").delete_object(Bucket=order["target"]["bucket"], Key=_target_key(order))
    return {"seconds": seconds, "hash_seconds": hash_seconds, "rss_mib": peak / 1024, "cpu_seconds": time.process_time()}


def _copy_ours(order: dict[str, Any]) -> tuple[float, float]:
    from adapters.objects_s3 import S3Objects, S3Settings
    from adapters.peer_http import HttpPeer
    from tests.unit.transfer.ports import make_ports
    from waybill.app.transfer import download_blob

    objects = S3Objects(S3Settings(**order["target"]))
    objects.ensure_bucket()
    peer = HttpPeer()
    ports = make_ports(objects=objects, peer=peer)
    ports = replace(ports, site=replace(ports.site, part_size_bytes=order["part_size"]))
    moved = download_blob(
        ports,
        space_id="spc_" + "0" * 32,
        url=order["url"],
        ca_pem=order["ca_pem"],
        sha256=order["sha256"],
        size_bytes=order["size"],
        on_bytes=lambda _total: None,
        is_cancelled=lambda: False,
        concurrency=order["concurrency"],
    )
    peer.close()
    return moved.moving.total_seconds(), moved.hashing.total_seconds()


def _copy_parts(order: dict[str, Any]) -> None:
    source, target = _client(order, "source"), _client(order, "target")
    bucket, key = order["target"]["bucket"], _target_key(order)
    upload = target.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    size, part_size = order["size"], order["part_size"]

    def copy(number: int) -> dict[str, Any]:
        start = (number - 1) * part_size
        wanted = f"bytes={start}-{min(size, start + part_size) - 1}"
        body = source.get_object(Bucket=order["source"]["bucket"], Key="package", Range=wanted)["Body"].read()
        return {
            "PartNumber": number,
            "ETag": target.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }

    with ThreadPoolExecutor(order["concurrency"]) as pool:
        parts = list(pool.map(copy, range(1, -(-size // part_size) + 1)))
    target.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def _copy_stream(order: dict[str, Any]) -> None:
    from boto3.s3.transfer import TransferConfig

    body = _client(order, "source").get_object(Bucket=order["source"]["bucket"], Key="package")["Body"]
    config = TransferConfig(multipart_chunksize=order["part_size"], max_concurrency=order["concurrency"])
    _client(order, "target").upload_fileobj(body, order["target"]["bucket"], _target_key(order), Config=config)


def _client(order: dict[str, Any], side: str) -> Any:
    """boto3 with the faster options that our adapter uses too.

    Its default of trailing checksums is slower, and versitygw 1.7 now and then refuses such a part over TLS with BadRequest.
    """
    import boto3
    from botocore.config import Config

    settings = order[side]
    return boto3.client(
        "s3",
        endpoint_url=settings["endpoint"],
        aws_access_key_id=settings["access_key"],
        aws_secret_access_key=settings["secret_key"],
        region_name=settings["region"],
        verify=settings["ca_file"],
        config=Config(
            signature_version="s3v4",
            max_pool_connections=32,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path", "payload_signing_enabled": False},
        ),
    )


def _target_key(order: dict[str, Any]) -> str:
    from waybill.formats.layout import blob_key

    return blob_key(order["sha256"])


def _report(results: dict[str, list[dict[str, float]]], *, size: int) -> int:
    rates = {kind: size / _MIB / median(run["seconds"] for run in runs) for kind, runs in results.items()}
    ours = results["waybill"]
    ratios = {kind: rates["waybill"] / rate for kind, rate in rates.items() if kind != "waybill"}
    rss = max(run["rss_mib"] for run in ours)
    reread = median(run["hash_seconds"] for run in ours)
    print(f"package                    {size // _MIB} MiB, sha256 checked by a full re-read")
    for kind, rate in rates.items():
        print(f"{kind:26} {rate:.0f} MiB/s, median of {len(ours)}")
    for kind, ratio in ratios.items():
        print(f"ratio to {kind:17} {ratio:.2f} (target >= {_TARGET_RATIO})")
    print(f"verifying re-read          {reread:.2f} s, {size / _MIB / reread:.0f} MiB/s")
    print(f"peak RSS of the worker     {rss:.0f} MiB (target <= {_TARGET_RSS_MIB})")
    return 0 if min(ratios.values()) >= _TARGET_RATIO and rss <= _TARGET_RSS_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
