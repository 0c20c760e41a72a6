# SPDX-License-Identifier: Apache-2.0
"""A source and a target with a real project between them, and the hands that the workflows have in production.

Everything goes through the use cases; only the engine is replaced by the functions here.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.simulators.site import Site, make_site, serve
from tests.simulators.spaces import ACCEPT, SEND, Home, action, make_home
from waybill.app import (
    admin,
    blobs,
    carrier,
    deploy,
    exchange,
    identity,
    importing,
    outbox,
    preview,
    promote,
    receive,
    runs,
    transfer,
    variables,
)
from waybill.app.access import SYSTEM
from waybill.domain.bundles import InboxBundle, InboxState
from waybill.domain.deployments import Deployment, DeploymentState, RunState
from waybill.domain.ids import JsonValue
from waybill.domain.packages import Upload
from waybill.domain.projects import ActionScopes, Project
from waybill.domain.promotions import Promotion
from waybill.domain.receipts import ReceiptRow
from waybill.domain.releases import Release
from waybill.domain.spaces import Machine
from waybill.domain.steps import StepOrder, StepOutcome
from waybill.domain.trusts import Grants, OutboxMessage, Road, Trust
from waybill.domain.variables import Scope, Template, ValueType
from waybill.formats import delivery as delivery_format
from waybill.formats import envelope
from waybill.formats.layout import blob_key, carrier_key
from waybill.trust import sign

SECRET = "canary-7f1d9c2b-hunter2"
APP = b"the bytes of the app " * 4000


@dataclass(slots=True, kw_only=True)
class World:
    """Two Spaces, their trust in both directions, and a project at the source."""

    source: Home
    target: Home
    to_target: Trust
    to_source: Trust
    project: Project
    machine: Machine

    def release(self, version: str = "1.0.0") -> Release:
        """The project frozen."""
        return self.source.release(self.project, version)

    def promote(self, release: Release) -> Promotion:
        """The bundle sealed for the target, on the outbox of the source."""
        promotion, _ = promote.start_promotion(
            self.source.ports, SYSTEM, space_id=self.source.space_id, release=release.id, trust=self.to_target.id
        )
        promote.seal(self.source.ports, space_id=self.source.space_id, promotion_id=promotion.id)
        return promotion

    def bundle(self, promotion: Promotion) -> tuple[bytes, bytes]:
        """Delivery and Release envelopes of a sealed promotion."""
        return bundle_of(self.source, promotion)

    def accept(self, promotion: Promotion) -> InboxBundle:
        """The bundle handed to the target's door by hand."""
        delivery, release = self.bundle(promotion)
        return receive.accept_bundle(
            self.target.ports, space_id=self.target.space_id, delivery=delivery, release=release, road=Road.CARRIER
        ).inbox

    def bring_blobs(self, inbox: InboxBundle) -> None:
        """Everything that the target lacks, copied from store to store and verified there."""
        copy_blobs(self.source, self.target, inbox)

    def ready(self, promotion: Promotion) -> InboxBundle:
        """The bundle accepted and complete."""
        inbox = self.accept(promotion)
        self.bring_blobs(inbox)
        return receive.mark_ready(self.target.ports, space_id=self.target.space_id, inbox_id=inbox.id)

    def imported(self, promotion: Promotion) -> Release:
        """The bundle accepted, complete, answered, approved and imported."""
        return import_it(self.target, self.ready(promotion))

    def carry_home(self) -> None:
        """Every receipt of the target handed to the source."""
        deliver_outbox(self.target, self.to_source, self.source)


def make_world(*, road: Road = Road.CARRIER, peer_road: Road = Road.CARRIER, source_site: Site | None = None) -> World:
    """The demo in small: Storefront with a secret, a value for Prod: Production, a template, and a lifecycle Test, then Prod."""
    source = make_home("DevTest", site=source_site)
    target = make_home("Prod", site=make_site("frankfurt", clock=source.site.clock))
    to_target = source.trust(target, grants=SEND, road=road)
    to_source = target.trust(source, grants=ACCEPT, road=peer_road)
    machine = prepare_target(target)
    return World(
        source=source,
        target=target,
        to_target=to_target,
        to_source=to_source,
        project=make_project(source, to_target),
        machine=machine,
    )


def connect(source: Home, target: Home) -> None:
    """The target can call the source's peer API, and its store by granted URLs; the source calls nobody."""
    serve(target.site, source.site, lambda path, body: answer(source, path, body))


def answer(home: Home, path: str, body: bytes) -> bytes:
    """The peer API of a Space, as its routes do it."""
    action_name = path.removeprefix(f"/peer/v1/{home.space_id}/")
    handlers = {
        "exchange": exchange.answer_exchange,
        "downloads": exchange.grant_download,
        "uploads": exchange.grant_upload,
        "uploads/complete": exchange.complete_peer_upload,
    }
    return handlers[action_name](home.ports, space_id=home.space_id, body=body)


def make_project(home: Home, to_target: Trust) -> Project:
    """Storefront: a step with a package and a secret, one only for Prod: Production; variables, template, lifecycle."""
    home.install()
    home.push("app", "1.0.0", APP)
    test = admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Test")
    production = admin.create_remote_environment(home.ports, SYSTEM, space_id=home.space_id, trust=to_target.id, name="Production")
    home.lifecycle("Default", ("Test",), (to_target.name,))
    project = home.project(
        "Storefront",
        lifecycle="Default",
        actions=(
            action("Deploy", package_id="app", inputs={"script": "deploy #{Url} for #{Waybill.Environment.Name}"}),
            replace(
                action("Smoke", inputs={"script": "check #{Domain} with #{Token} #{Step[Deploy].Output.path}"}),
                scopes=ActionScopes(environments=(production.id,)),
            ),
            replace(action("Only in Test", inputs={"script": "true"}), scopes=ActionScopes(environments=(test.id,))),
        ),
    )
    put = _Setter(home, project)
    put("Url", ValueType.TEXT, value="https://test.example")
    put("Url", ValueType.TEXT, value="https://prod.example", scope=Scope(environments=(production.id,)))
    put("Token", ValueType.SECRET, value=SECRET)
    put("Domain", ValueType.TEXT, template=Template(label="Domain name"))
    put("Domain", ValueType.TEXT, value="test.example", scope=Scope(environments=(test.id,)))
    admin.register_machine(home.ports, SYSTEM, space_id=home.space_id, name="tester", roles=("web",), environments=("Test",))
    deploy_all(home, home.release(project, "0.9.0"), "Test")
    return project


def prepare_target(home: Home) -> Machine:
    """Environment, lifecycle and machine of a target."""
    admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Production")
    home.lifecycle("Prod only", ("Production",))
    machine, _ = admin.register_machine(
        home.ports, SYSTEM, space_id=home.space_id, name="web-1", roles=("web",), environments=("Production",)
    )
    return machine


@dataclass(frozen=True, slots=True)
class _Setter:
    home: Home
    project: Project

    def __call__(
        self,
        name: str,
        kind: ValueType,
        *,
        value: str | None = None,
        template: Template | None = None,
        scope: Scope = Scope(),
    ) -> None:
        variables.set_variable(
            self.home.ports,
            SYSTEM,
            space_id=self.home.space_id,
            project=self.project.id,
            name=name,
            type=kind,
            scope=scope,
            value=value,
            template=template,
        )


def bundle_of(home: Home, promotion: Promotion) -> tuple[bytes, bytes]:
    """Delivery and Release envelopes of a sealed promotion."""
    sealed = promote.seal(home.ports, space_id=home.space_id, promotion_id=promotion.id)
    with home.ports.ledger.read(home.space_id) as work:
        message = work.of(OutboxMessage).first(document_sha256=sealed.document_sha256)
        assert message is not None
        envelopes = exchange_envelopes(home, message)
    return envelopes[0], envelopes[1]


def exchange_envelopes(home: Home, message: OutboxMessage) -> tuple[bytes, ...]:
    """The signed envelopes of one outbox message."""
    with home.ports.ledger.read(home.space_id) as work:
        return outbox.as_message(work, message).envelopes


def copy_blobs(source: Home, target: Home, inbox: InboxBundle) -> None:
    """Everything that the target lacks, copied from store to store and verified there."""
    for need in receive.needs_now(target.ports, space_id=target.space_id, inbox_id=inbox.id):
        target.site.objects.write(blob_key(need.sha256), source.site.objects.read(blob_key(need.sha256)))
        blobs.verify_blob(target.ports, sha256=need.sha256, size_bytes=need.size_bytes)


def fetch_blobs(target: Home, inbox: InboxBundle) -> int:
    """Everything that the target lacks, fetched by granted URLs as its transfer worker does; returns the bytes moved."""
    moved = 0
    for need in receive.needs_now(target.ports, space_id=target.space_id, inbox_id=inbox.id):
        grant = exchange.ask_download(
            target.ports, space_id=target.space_id, trust_id=inbox.trust_id, bundle_sha256=inbox.bundle_sha256, sha256=need.sha256
        )
        done = transfer.download_blob(
            target.ports,
            space_id=target.space_id,
            url=grant.url,
            ca_pem=grant.ca_pem,
            sha256=need.sha256,
            size_bytes=need.size_bytes,
            on_bytes=lambda _total: None,
            is_cancelled=lambda: False,
        )
        moved += done.bytes_moved
    return moved


def import_it(target: Home, inbox: InboxBundle, *, domain: str = "shop.example") -> Release:
    """Answers, approval of what the preview shows, and the import."""
    importing.put_answers(
        target.ports,
        SYSTEM,
        space_id=target.space_id,
        inbox=inbox.id,
        answers=[importing.AnswerInput(variable="Domain", environment="Production", tenant=None, value=domain)],
    )
    approve(target, inbox)
    return importing.apply_import(target.ports, space_id=target.space_id, inbox_id=inbox.id)


def approve(target: Home, inbox: InboxBundle) -> InboxBundle:
    """The bundle approved as its preview shows it now."""
    shown = preview.preview(target.ports, SYSTEM, space_id=target.space_id, inbox=inbox.id)
    return importing.decide(
        target.ports,
        SYSTEM,
        space_id=target.space_id,
        inbox=inbox.id,
        verdict="approve",
        bundle_sha256=shown.bundle_sha256,
        preview_sha256=shown.sha256,
    )


def deploy_all(home: Home, release: Release, environment: str) -> tuple[Deployment, list[StepOrder]]:
    """The release deployed as DeployRelease does it, every step successful; returns the orders that its machines got."""
    deployment, _ = deploy.start_deployment(home.ports, SYSTEM, space_id=home.space_id, release=release.id, environment=environment)
    plan = deploy.begin(home.ports, space_id=home.space_id, deployment_id=deployment.id)
    orders = []
    for planned in plan.actions:
        for machine_id in planned.machine_ids or (None,):
            run = deploy.open_run(
                home.ports, space_id=home.space_id, deployment_id=deployment.id, action_id=planned.action_id, machine_id=machine_id
            )
            if machine_id is not None:
                machine = machine_of(home, machine_id)
                orders.append(runs.claim(home.ports, machine, run_id=run.id))
                outcome = StepOutcome(state=RunState.SUCCEEDED, outputs={"path": "/srv/app"})
                runs.record_outcome(home.ports, machine, run_id=run.id, outcome=outcome)
    ended = deploy.finish(home.ports, space_id=home.space_id, deployment_id=deployment.id, state=DeploymentState.SUCCEEDED)
    return ended, orders


def machine_of(home: Home, machine_id: str) -> Machine:
    """The machine's row."""
    with home.ports.ledger.read(home.space_id) as work:
        return work.of(Machine).get(machine_id)


def deliver_outbox(sender: Home, trust: Trust, receiver: Home) -> list[exchange.MessageResult]:
    """Every message that waits on the outbox, handed to the other side's door in order."""
    with sender.ports.ledger.read(sender.space_id) as work:
        rows = work.of(OutboxMessage).where(trust_id=trust.id, state="pending")
    results = []
    for row in rows:
        envelopes = exchange_envelopes(sender, row)
        results.append(
            exchange.accept_message(receiver.ports, space_id=receiver.space_id, kind=row.kind, envelopes=envelopes, road=Road.CARRIER)
        )
        with sender.ports.ledger.write(sender.space_id) as work:
            work.of(OutboxMessage).replace(replace(row, state="acknowledged"))
    return results


def events(home: Home, direction: str) -> list[str]:
    """The events of every receipt in one direction, oldest first."""
    with home.ports.ledger.read(home.space_id) as work:
        return [row.event for row in work.of(ReceiptRow).where(direction=direction)]


def carry_file(sender: Home, trust: Trust, receiver: Home, *, spoil: int | None = None) -> Mapping[str, JsonValue]:
    """Everything that waits goes into one carrier file, the file to the other site, and in; returns the summary. ``spoil`` flips a byte."""
    made, _ = carrier.start_export(sender.ports, SYSTEM, space_id=sender.space_id, trust=trust.id)
    carrier.export(sender.ports, space_id=sender.space_id, carrier_id=made.id, on_bytes=lambda _total: None)
    data = bytearray(b"".join(sender.site.objects.read(carrier_key(made.id))))
    if spoil is not None:
        data[spoil] ^= 1
    return bring_file(receiver, bytes(data))


def bring_file(receiver: Home, data: bytes) -> Mapping[str, JsonValue]:
    """A carrier file uploaded and imported; returns the summary."""
    upload = upload_carrier(receiver, data)
    taken, _ = carrier.start_import(receiver.ports, SYSTEM, space_id=receiver.space_id, upload_id=upload.id)
    done = carrier.import_carrier(receiver.ports, space_id=receiver.space_id, carrier_id=taken.id, on_bytes=lambda _total: None)
    return done.summary


def upload_carrier(receiver: Home, data: bytes) -> Upload:
    """The file uploaded and verified as a carrier."""
    sha256 = hashlib.sha256(data).hexdigest()
    receiver._upload(data, purpose="carrier", filename="carrier.tar")
    with receiver.ports.ledger.read(receiver.space_id) as work:
        found = work.of(Upload).where(sha256=sha256, purpose="carrier", newest_first=True)
    return found[0]


def told(summary: Mapping[str, JsonValue]) -> list[tuple[JsonValue, JsonValue, JsonValue]]:
    """Kind, state and code of each message of a carrier."""
    listed = summary["envelopes"]
    assert isinstance(listed, list)
    return [(one["kind"], one["state"], one["code"]) for one in listed if isinstance(one, dict)]


def resign(world: World, delivery: bytes, **changes: object) -> bytes:
    """The delivery with changed fields, properly signed by the source again."""
    doc = delivery_format.decode(envelope.decode(delivery).payload)
    payload = delivery_format.encode(replace(doc, **changes))  # type: ignore[arg-type]  # the fields of the test's choice
    with world.source.ports.ledger.read(world.source.space_id) as work:
        key = identity.signing_key(world.source.ports, work)
    return sign.sign_envelope(delivery_format.PAYLOAD_TYPE, payload, key)


def state_of(home: Home, inbox: InboxBundle) -> InboxState:
    """The state of a bundle now."""
    return receive.get_inbox(home.ports, SYSTEM, space_id=home.space_id, inbox=inbox.id).state


RELAY = Grants(send_releases=True, accept_receipts=True, accept_releases=True, send_receipts=True, relay=True)
