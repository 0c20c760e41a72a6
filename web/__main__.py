# SPDX-License-Identifier: Apache-2.0
"""``python -m web --settings FILE``: the API of a site with its pages; arguments and exit codes are those of ``python -m api``."""

import os
import sys

from api.__main__ import main
from web.site import create_site

if __name__ == "__main__":
    code = main(dress=create_site)
    sys.stdout.flush()
    sys.stderr.flush()
    # The engine's library may crash while an interpreter with it winds down.
    os._exit(code)
