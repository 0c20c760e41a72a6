# SPDX-License-Identifier: Apache-2.0
"""Fresh ids from the ports' clock and randomness."""

from waybill.domain.ids import make_id
from waybill.ports import Ports


def fresh(ports: Ports, prefix: str) -> str:
    """An id of the noun ``prefix`` that nobody has had before; ids made later sort later (to the millisecond)."""
    return make_id(prefix, unix_ms=int(ports.clock.now().timestamp() * 1000), entropy=ports.entropy.take(10))
