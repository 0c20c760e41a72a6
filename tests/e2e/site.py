# SPDX-License-Identifier: Apache-2.0
"""One running site as a test uses it: what people do there, over HTTP with the command line's own client, and what lies on its disks.

A request that may be repeated is repeated while the API is down: a person would do the same.
"""

import base64
import contextlib
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from cli.client import ApiError, Client, items, tls_context
from cli.profile import Profile
from sites.create import ADMINISTRATOR
from sites.demo.evidence import sha256_file
from sites.demo.world import DemoSite
from sites.layout import SiteLayout
from sites.machines import STEPS, add_machine
from sites.programs import NAMESPACE, find_server
from tests.e2e.processes import until
from waybill.errors import UnavailableError

TOOLS = Path(__file__).resolve().parents[2] / ".tools"
ENDED = {"succeeded", "failed", "cancelled", "refused"}
PATIENCE_SECONDS = 60.0


class PatientClient(Client):
    """Asks again while nobody answers, when asking twice is the same as asking once."""

    def _send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        may_repeat = method == "GET" or "Idempotency-Key" in (arguments.get("headers") or {})
        while True:
            try:
                return super()._send(method, path, **arguments)
            except UnavailableError:
                if not may_repeat or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A promotion under way: its row and its task at the source."""

    promotion_id: str
    task_id: str


class Space:
    """One Space of a running site, and a person there who may do everything."""

    def __init__(self, demo: DemoSite, *, slug: str, token: str) -> None:
        self.demo, self.slug = demo, slug
        self.layout: SiteLayout = demo.layout
        self.client = PatientClient(Profile(name=slug, url=demo.url, token=token, space=slug, ca=str(demo.layout.authority)))

    def path(self, path: str) -> str:
        """``path`` under this Space."""
        return self.client.space_path(path)

    def rows(self, path: str, **query: object) -> list[dict[str, Any]]:
        """All rows of a list."""
        return items(self.client, self.path(path), limit=1000, **query)

    def get(self, path: str, **query: object) -> Any:
        """What the API shows at ``path`` of this Space."""
        return self.client.get(self.path(path), **query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a change that is safe to repeat."""
        return self.client.post(self.path(path), body, idempotent=True)

    # What people do

    def upload(self, file: Path, what: dict[str, Any]) -> str | None:
        """The upload's id, once ``file`` is in the site's store and verified; None when it was there."""
        size, sha256 = file.stat().st_size, sha256_file(file)
        grant = self.client.post(self.path("/uploads"), {**what, "size_bytes": size, "sha256": sha256})
        if grant["existing"] is not None:
            return None
        with httpx2.Client(verify=tls_context(str(self.layout.authority)), timeout=60) as http, file.open("rb") as content:
            for part in grant["parts"]:
                content.seek(part["offset"])
                http.put(part["url"], content=content.read(part["size_bytes"])).raise_for_status()
        done = self.await_task(self.post(f"/uploads/{grant['upload']['id']}/complete", {})["id"])
        assert done["state"] == "succeeded", done
        return str(grant["upload"]["id"])

    def push(self, file: Path, *, package_id: str, version: str) -> None:
        """``file`` is a package of this Space."""
        self.upload(file, {"purpose": "package", "package_id": package_id, "version": version, "filename": file.name})

    def install_steps(self) -> None:
        """The first-party step packages are installed."""
        for archive in sorted((STEPS / "packages").glob("*.zip")):
            self.upload(archive, {"purpose": "step_package", "filename": archive.name})

    def make_project(self, name: str, actions: Sequence[dict[str, Any]], *, lifecycle: str) -> None:
        """A project with that process."""
        project = self.post("/projects", {"name": name, "lifecycle": lifecycle})
        path = self.path(f"/projects/{project['slug']}/process")
        _, etag = self.client.get_tagged(path)
        self.client.put(path, {"actions": list(actions)}, etag=etag)

    def release(self, project: str, version: str) -> dict[str, Any]:
        """The project frozen as ``version``."""
        return dict(self.post("/releases", {"project": project, "version": version}))

    def promote(self, project: str, version: str, *, to: str) -> Crossing:
        """The release is on its way to the Remote Space ``to``."""
        made = self.post("/promotions", {"project": project, "release": version, "trust": to})
        return Crossing(promotion_id=made["promotion"]["id"], task_id=made["task"]["id"])

    def bundle(self, project: str, version: str) -> dict[str, Any] | None:
        """The received bundle of that release, if there is one."""
        return next((row for row in self.rows("/inbox") if (row["project_name"], row["release_version"]) == (project, version)), None)

    def await_bundle(self, project: str, version: str, *, state: str = "ready", seconds: float = 90) -> dict[str, Any]:
        """The received bundle once it is in ``state``."""

        def in_state() -> dict[str, Any] | None:
            row = self.bundle(project, version)
            return row if row is not None and row["state"] == state else None

        return until(in_state, f"{project} {version} is {state} at {self.slug}", seconds=seconds)

    def approve(self, bundle: dict[str, Any], *, lifecycle: str = "live") -> dict[str, Any]:
        """The bundle was approved as previewed now; the row as the decision's answer shows it.

        A request whose API died is told that it still runs; deciding the same again, as a new request, is the same decision.
        """
        shown = self.get(f"/inbox/{bundle['id']}/preview")
        body = {"verdict": "approve", "bundle_sha256": shown["bundle_sha256"], "preview_sha256": shown["sha256"], "lifecycle": lifecycle}
        try:
            return dict(self.post(f"/inbox/{bundle['id']}/decision", body))
        except ApiError as error:
            if error.code != "idempotency.in_progress":
                raise
            return dict(self.post(f"/inbox/{bundle['id']}/decision", body))

    def take_in(self, project: str, version: str, *, lifecycle: str = "live") -> dict[str, Any]:
        """The release has arrived, was approved and is imported."""
        bundle = self.await_bundle(project, version)
        self.approve(bundle, lifecycle=lifecycle)
        return self.await_bundle(project, version, state="imported")

    def start_deployment(self, release_row_id: str, *, environment: str = "Production") -> dict[str, Any]:
        """A deployment, just started."""
        return dict(self.post("/deployments", {"release": release_row_id, "environment": environment})["deployment"])

    def deployment(self, deployment_id: str) -> dict[str, Any]:
        """``deployment`` and ``runs`` as they are now."""
        return dict(self.get(f"/deployments/{deployment_id}"))

    def await_deployment(self, deployment_id: str, *, state: str = "succeeded", seconds: float = 90) -> list[dict[str, Any]]:
        """The runs of the deployment once it is in ``state``; fails at once when it ends otherwise."""

        def in_state() -> list[dict[str, Any]] | None:
            found = self.deployment(deployment_id)
            now = found["deployment"]["state"]
            assert now == state or now not in ENDED, found
            return list(found["runs"]) if now == state else None

        return until(in_state, f"the deployment is {state}", seconds=seconds)

    def deploy(self, release_row_id: str) -> list[dict[str, Any]]:
        """The release was deployed to Production; the runs of its steps."""
        return self.await_deployment(self.start_deployment(release_row_id)["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """The task now."""
        return dict(self.get(f"/tasks/{task_id}"))

    def await_task(self, task_id: str, *, seconds: float = 90) -> dict[str, Any]:
        """The task once it has ended."""

        def ended() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["state"] in ENDED else None

        return until(ended, f"task {task_id} ended", seconds=seconds)

    def promotion(self, crossing: Crossing) -> dict[str, Any]:
        """The promotion now."""
        return dict(self.get(f"/promotions/{crossing.promotion_id}"))

    def await_promotion(self, crossing: Crossing, *, state: str, seconds: float = 90) -> dict[str, Any]:
        """The promotion once it is in ``state``."""

        def in_state() -> dict[str, Any] | None:
            row = self.promotion(crossing)
            return row if row["state"] == state else None

        return until(in_state, f"the promotion is {state} at {self.slug}", seconds=seconds)

    def receipts_of(self, crossing: Crossing) -> list[dict[str, Any]]:
        """Receipts that came home for the promotion, in their order."""
        found = [row for row in self.rows("/receipts") if row["promotion_id"] == crossing.promotion_id and row["direction"] == "in"]
        return sorted(found, key=lambda row: (row["epoch"], row["seq"]))

    def export_carrier(self, trust: str, out: Path) -> Path:
        """Everything that waits for ``trust``, in the file ``out``."""
        made = self.post("/carriers/exports", {"trust": trust})
        assert self.await_task(made["task"]["id"])["state"] == "succeeded"
        url = self.get(f"/carriers/{made['carrier']['id']}/download")["url"]
        with httpx2.Client(verify=tls_context(str(self.layout.authority)), timeout=60) as http:
            out.write_bytes(http.get(url).content)
        return out

    def import_carrier(self, file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """The carrier's row and its task, once that has ended."""
        made = self.post("/carriers/imports", {"upload_id": self.upload(file, {"purpose": "carrier", "filename": file.name})})
        task = self.await_task(made["task"]["id"])
        return dict(self.get(f"/carriers/{made['carrier']['id']}")), task

    def add_machine(self, name: str, *, environment: str) -> None:
        """The site runs a machine for ``environment``."""
        made = self.post("/machines", {"name": name, "roles": ["web"], "environments": [environment]})
        add_machine(self.layout, name=name, token=made["token"])

    # What lies on disks and in the engine

    def engine(self, *arguments: str, namespace: str = NAMESPACE) -> Any:
        """The JSON that the engine's own command line prints about this site."""
        command = [find_server("temporal", TOOLS), *arguments, "--address", f"127.0.0.1:{self.demo.ports.engine}"]
        done = subprocess.run(
            [*command, "--namespace", namespace, "-o", "json"], capture_output=True, text=True, timeout=60, check=True
        ).stdout  # fmt: skip
        return json.loads(done)

    def works_on(self, workflow_id: str, activity: str) -> bool:
        """True while a worker has the activity in hand."""
        told = self.engine("workflow", "describe", "-w", workflow_id)
        return any(
            one["activityType"]["name"] == activity and one["state"].endswith("STARTED") for one in told.get("pendingActivities", [])
        )

    @contextlib.contextmanager
    def database_held_when(self, question: str, *parameters: object) -> Iterator[None]:
        """Nobody can write to the site's SQLite database from the moment when ``question`` finds a row until the block ends."""
        connection = sqlite3.connect(self.layout.data / "waybill.db", isolation_level=None, timeout=30)
        try:
            until(lambda: connection.execute(question, parameters).fetchone(), question, pause=0.0005)
            connection.execute("BEGIN IMMEDIATE")
            assert connection.execute(question, parameters).fetchone() is not None, f"too late: {question}"
            yield
        finally:
            connection.close()


def sign_in(demo: DemoSite, *, permissions: Sequence[str] = ("*",)) -> str:
    """The token of a key that the administrator made; it has these rights in every Space."""
    password = demo.layout.first_password.read_text().strip()
    with httpx2.Client(
        base_url=demo.url, verify=tls_context(str(demo.layout.authority)), headers={"Origin": demo.url}, timeout=30
    ) as http:  # fmt: skip
        http.post("/api/v1/login", json={"username": ADMINISTRATOR, "password": password}).raise_for_status()
        body = {"name": "tests", "days": 1, "grants": [{"space_id": "*", "permissions": list(permissions)}]}
        made = http.post("/api/v1/keys", json=body)
        made.raise_for_status()
        return str(made.json()["token"])


def trust_each_other(here: Space, there: Space, *, road_here: str, road_there: str, relay: bool) -> None:
    """Both Spaces have confirmed each other and let everything pass in both directions; each calls the other by its name."""
    granted = dict.fromkeys(("send_releases", "accept_releases", "send_receipts", "accept_receipts"), True) | {"relay": relay}
    for one, other, road in ((here, there, road_here), (there, here, road_there)):
        identity = base64.b64encode(other.client.fetch_bytes(other.path("/identity/document"))).decode()
        shown = other.get("/identity")
        made = one.post("/trusts", {"name": shown["name"], "road": road, "identity": identity, "grants": granted})
        _, etag = one.client.get_tagged(one.path(f"/trusts/{made['slug']}"))
        one.client.put(one.path(f"/trusts/{made['slug']}/confirmation"), {"fingerprint": shown["fingerprint"]}, etag=etag)
