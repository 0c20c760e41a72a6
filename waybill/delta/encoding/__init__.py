# SPDX-License-Identifier: Apache-2.0
"""One file per codec: the encoders that run inside this process. The table of them all is ``waybill.delta.encoders``."""
