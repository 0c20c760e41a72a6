# SPDX-License-Identifier: Apache-2.0
"""A worker that runs one step and prints its lines; a test kills it. Arguments: file of the order, bootstrapper, directory."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from adapters.node_host import Listener, NodeHost, NodeSettings
from adapters.step_cache import StepCache
from waybill.domain.steps import order_from_json


async def main() -> None:
    """The step runs until this process is killed."""
    order, bootstrapper, directory = (Path(each) for each in sys.argv[1:])
    settings = NodeSettings(
        node=Path(shutil.which("node") or ""), bootstrapper=bootstrapper, work_directory=directory / "work", search_path=os.environ["PATH"]
    )
    host = NodeHost(settings, StepCache(directory / "cache"))
    listener = Listener(on_line=lambda line: print(line.message, flush=True))
    await host.run(order_from_json(json.loads(order.read_text())), listener=listener, cancelled=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main())
