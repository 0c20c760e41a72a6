# SPDX-License-Identifier: Apache-2.0
"""The table of containers. A new one is a file here, a line in the table, and its tests."""

from collections.abc import Iterable
from typing import Final

from waybill.delta.containers.ar import Ar
from waybill.delta.containers.base import HEAD, Container, Part
from waybill.delta.containers.bzip2 import Bzip2
from waybill.delta.containers.cpio import Cpio
from waybill.delta.containers.gzip import Gzip
from waybill.delta.containers.hidden import Hidden
from waybill.delta.containers.lzma import Lzma
from waybill.delta.containers.tar import Tar
from waybill.delta.containers.xz import Xz
from waybill.delta.containers.zip import AppendedZip, Zip
from waybill.delta.containers.zstd import Zstd
from waybill.delta.io import View
from waybill.delta.limits import Limits

CONTAINERS: Final[tuple[Container, ...]] = (Gzip(), Xz(), Zstd(), Bzip2(), Ar(), Cpio(), Zip(), Tar(), Lzma(), AppendedZip(), Hidden())
"""In the order in which they are tried: those that a magic number tells first."""


def find_parts(view: View, limits: Limits) -> Iterable[Part] | None:
    """The parts of ``view`` as the first container that knows it tells them; None when nobody does."""
    head = view.read_at(0, min(HEAD, view.length))
    for container in CONTAINERS:
        if container.sniff(head) and (parts := container.parts(view, limits)) is not None:
            return parts
    return None
