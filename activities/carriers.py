# SPDX-License-Identifier: Apache-2.0
"""Carrier files, made and read in one long activity each; both may be repeated."""

from temporalio import activity

from activities.beating import Beat
from waybill.app import carrier
from waybill.domain.stories import CarrierInput
from waybill.ports import Ports


class Carriers:
    """Carrier files of this site."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="carriers.export", no_thread_cancel_exception=True)
    def export(self, given: CarrierInput) -> str:
        """The file stands in the object store; returns what is in it, in words."""
        with Beat() as beat:
            row = carrier.export(self._ports, space_id=given.space_id, carrier_id=given.carrier_id, on_bytes=beat.on_bytes)
        return f"Carrier file of {row.size_bytes or 0} bytes is ready to be taken along"

    @activity.defn(name="carriers.import", no_thread_cancel_exception=True)
    def import_carrier(self, given: CarrierInput) -> str:
        """Its blobs are stored and its messages accepted or refused; returns that in words."""
        with Beat() as beat:
            row = carrier.import_carrier(self._ports, space_id=given.space_id, carrier_id=given.carrier_id, on_bytes=beat.on_bytes)
        envelopes = row.summary.get("envelopes")
        return f"Carrier file read: {len(envelopes) if isinstance(envelopes, list) else 0} messages"
