# SPDX-License-Identifier: Apache-2.0
"""The kinds of signed documents, and the one payload type of each."""

from typing import Final

from waybill.formats import carrier_index, delivery, identity, inventory, need_list, peer, recall, receipt, release, revocation

PAYLOAD_TYPES: Final[dict[str, str]] = {
    "release": release.PAYLOAD_TYPE,
    "delivery": delivery.PAYLOAD_TYPE,
    "receipt": receipt.PAYLOAD_TYPE,
    "identity": identity.PAYLOAD_TYPE,
    "inventory": inventory.PAYLOAD_TYPE,
    "need_list": need_list.PAYLOAD_TYPE,
    "recall": recall.PAYLOAD_TYPE,
    "revocation": revocation.PAYLOAD_TYPE,
    "carrier_index": carrier_index.PAYLOAD_TYPE,
    "peer_request": peer.REQUEST_PAYLOAD_TYPE,
    "peer_answer": peer.ANSWER_PAYLOAD_TYPE,
}

_KINDS: Final = {payload_type: kind for kind, payload_type in PAYLOAD_TYPES.items()}


def kind_of(payload_type: str) -> str | None:
    """The kind whose payload type this is, or None."""
    return _KINDS.get(payload_type)
