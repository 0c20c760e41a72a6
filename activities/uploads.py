# SPDX-License-Identifier: Apache-2.0
"""What was uploaded is re-read and hashed before anybody may use it."""

from temporalio import activity

from activities.beating import Beat
from waybill.app import packages
from waybill.domain.stories import VerifyUploadInput
from waybill.ports import Ports


class Uploads:
    """Uploads into this site's store."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name="uploads.verify", no_thread_cancel_exception=True)
    def verify(self, given: VerifyUploadInput) -> None:
        """The upload is a verified blob and has become what it was for; repeating changes nothing."""
        with Beat() as beat:
            packages.verify_upload(self._ports, space_id=given.space_id, upload_id=given.upload_id, on_bytes=beat.on_bytes)
