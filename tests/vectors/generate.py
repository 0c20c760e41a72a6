# SPDX-License-Identifier: Apache-2.0
"""Makes the golden vectors: every file under tests/vectors/<kind>-v1/, from fixed keys, times and randomness.

Write them with ``python -m tests.vectors.generate``; a test makes them again and compares byte for byte.
Each folder has a ``cases.json``: file(s), ``expected`` (null, or the code of the refusal) and ``why``. Names that end in ``_fail`` are the
broken twins. ``world.json`` holds the keys and identities that all of them are judged with; see tests/vectors/README.md.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.vectors import bundles, foundations, messages, world
from tests.vectors.folder import Folder
from tests.vectors.world import STRANGER, A, B, C
from waybill.formats import base64_strict

HERE = Path(__file__).parent


def vectors() -> dict[str, bytes]:
    """Path below tests/vectors to content."""
    folders: dict[str, Callable[[], Folder]] = {
        "encoding-v1": foundations.encoding,
        "envelope-v1": foundations.envelopes,
        "sealing-v1": foundations.sealing,
        "identity-v1": foundations.identities,
        "release-v1": bundles.releases,
        "delivery-v1": bundles.deliveries,
        "receipt-v1": messages.receipts,
        "inventory-v1": messages.inventories,
        "need-list-v1": messages.need_lists,
        "recall-v1": messages.recalls,
        "revocation-v1": messages.revocations,
        "peer-v1": messages.peers,
        "carrier-v1": bundles.carriers,
    }
    made = {f"{folder}/{name}": data for folder, make in folders.items() for name, data in make().written().items()}
    made["world.json"] = json.dumps(world_facts(), indent=1, sort_keys=True).encode() + b"\n"
    return made


def world_facts() -> dict[str, Any]:
    """The public test keys and the identity envelopes of the Spaces."""
    parties = {}
    for letter, party in (("A", A), ("B", B), ("C", C), ("stranger", STRANGER)):
        parties[letter] = {
            "space_id": party.space_id,
            "name": party.name,
            "identity": base64_strict.encode(party.envelope),
            "fingerprint": party.identity.fingerprint,
            "identity_key": party.material.identity_key.hex(),
            "signing_key": party.material.signing_key.hex(),
            "encryption_key": party.material.encryption_key.hex(),
        }
    return {"now": "2026-01-15T12:00:00Z", "parties": parties, "secret": world.SECRET}


def main() -> int:
    """All vectors written over what is there."""
    for path, data in vectors().items():
        target = HERE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
