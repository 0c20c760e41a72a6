# SPDX-License-Identifier: Apache-2.0
"""A small fixed world: three Spaces and a stranger with keys from fixed seeds, one time, and one valid document of every kind.

Vectors and tests change one thing at a time in it. The keys are public: never use them anywhere else.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tests.vectors import hpke_reference
from waybill.domain.projects import Action, ActionScopes, PackageUse, StepRef
from waybill.domain.trusts import Grants
from waybill.domain.variables import Scope, Template, ValueType
from waybill.formats import carrier_index, delivery, inventory, need_list, peer, recall, receipt, release
from waybill.formats.carrier_index import CarrierBlob, CarrierEnvelope, CarrierIndexDoc
from waybill.formats.delivery import (
    AuditCheckpoint,
    CustodyLink,
    DeliveryDoc,
    DeliveryEnvironment,
    DeliverySender,
    DeliveryTarget,
    DeliveryValue,
    HistoryEntry,
    ReleaseRef,
)
from waybill.formats.identity import Endpoint
from waybill.formats.inventory import InventoryDoc, InventoryPackage
from waybill.formats.need_list import ByteRange, NeededBlob, NeedListDoc
from waybill.formats.peer import PeerAnswerDoc, PeerRequestDoc
from waybill.formats.recall import RecallDoc
from waybill.formats.receipt import (
    ReceiptApprovals,
    ReceiptDoc,
    ReceiptEnvironment,
    ReceiptLifecycle,
    ReceiptPackage,
    ReceiptParty,
)
from waybill.formats.release import (
    PromptedVariable,
    ReleaseAttachment,
    ReleaseDoc,
    ReleaseOwner,
    ReleasePackage,
    ReleaseProject,
    ReleaseStepPackage,
    ReleaseVariable,
)
from waybill.trust import identity as issuing
from waybill.trust import keys, seal, sign, verify
from waybill.trust.keys import Seeds, SpaceKeyMaterial
from waybill.trust.verify import TrustedPeer, Us, VerifiedIdentity

NOW = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)
ALL = Grants(send_releases=True, accept_releases=True, send_receipts=True, accept_receipts=True)
SECRET = "correct horse battery staple"


def fixed_id(prefix: str, label: str) -> str:
    """An id of the house grammar that depends on ``label`` only."""
    return f"{prefix}_0198c5f2a4b87d6e{hashlib.sha256(label.encode()).hexdigest()[:16]}"


def digest(label: str) -> str:
    """The SHA-256 of ``label``."""
    return hashlib.sha256(label.encode()).hexdigest()


def seeds(label: str) -> Seeds:
    """Three private keys and serial numbers that depend on ``label`` only."""
    identity, signing, encryption = (
        hashlib.sha256(f"waybill vector {label} {role}".encode()).digest() for role in ("identity", "signing", "encryption")
    )
    return Seeds(identity=identity, signing=signing, encryption=encryption, serials=(1001, 1002, 1003))


@dataclass(frozen=True)
class Party:
    """A Space of the world with its keys and its first identity document."""

    space_id: str
    name: str
    material: SpaceKeyMaterial
    envelope: bytes

    @property
    def identity(self) -> VerifiedIdentity:
        """Its identity, verified."""
        return verify.verify_identity(self.envelope, now=NOW)

    @property
    def us(self) -> Us:
        """What it must know of itself to verify."""
        return Us(space_id=self.space_id, encryption_key_sha256s=(self.identity.encryption[0].spki_sha256,))

    def trusted(self, grants: Grants = ALL, *, confirmed: bool = True, retired: bool = False) -> TrustedPeer:
        """A trust that somebody has in this Space."""
        return TrustedPeer(trust_id=fixed_id("trs", self.name), identity=self.identity, grants=grants, confirmed=confirmed, retired=retired)


def make_party(name: str, *, now: datetime = NOW) -> Party:
    """A Space with fixed keys and identity version 1."""
    space_id = fixed_id("spc", name)
    material = keys.generate(space_id, name, now, seeds=seeds(name))
    endpoints = [Endpoint(role="api", url=f"https://{name.lower()}.example:8443", ca_pem="")]
    envelope = issuing.issue(material, space_id=space_id, name=name, version=1, prev_sha256=None, endpoints=endpoints, now=now)
    return Party(space_id, name, material, envelope)


A = make_party("DevTest")
B = make_party("Prod")
C = make_party("Vault")
STRANGER = make_party("Stranger")

VAR_URL = fixed_id("var", "url")
VAR_SECRET = fixed_id("var", "secret")
VAR_TEMPLATE = fixed_id("var", "template")
VAR_PROMPT = fixed_id("var", "prompt")
VAR_TARGET = fixed_id("var", "target")
ENV_PROD = fixed_id("env", "production")
ENV_TEST = fixed_id("env", "test")


def release_doc(owner: Party = A) -> ReleaseDoc:
    """A release that uses every field."""
    action = Action(
        id=fixed_id("act", "deploy"),
        name="Deploy files",
        step=StepRef(package_id="waybill-deploy-files", version="1.2.0", sha256=digest("step package")),
        inputs={"folder": "#{Folder}", "clean": True, "ports": [80, 443], "nested": {"empty": None}},
        roles=("web",),
        window=5,
        scopes=ActionScopes(environments=(ENV_TEST,), tenant_tags=("region/eu",), channels=("stable",)),
        packages=(PackageUse(ref_name="site", package_id="@acme/storefront"),),
        retries=1,
        notes="Größe über alles\nsecond line",
    )
    template = Template(label="Database", help="Where it is", default="db.example", choices=("db.example", "db2.example"))
    return ReleaseDoc(
        release_id=fixed_id("rel", "1.0.0"),
        frozen_at=NOW - timedelta(hours=1),
        owner=ReleaseOwner(space_id=owner.space_id, identity_sha256=owner.identity.payload_sha256),
        project=ReleaseProject(id=fixed_id("prj", "storefront"), name="Storefront", group="Shop"),
        version="1.0.0",
        channel_name="Default",
        notes="First.",
        actions=(action,),
        variables=(
            ReleaseVariable(id=VAR_URL, name="Url", type=ValueType.TEXT, value="https://example", scope=Scope(environments=(ENV_TEST,))),
            ReleaseVariable(id=VAR_SECRET, name="Password", type=ValueType.SECRET, sensitive=True),
            ReleaseVariable(id=VAR_TEMPLATE, name="Database", type=ValueType.CHOICE, template=template),
        ),
        prompted=(PromptedVariable(id=VAR_PROMPT, name="Reason", type=ValueType.TEXT, template=Template(label="Why")),),
        packages=(
            ReleasePackage(
                ref_names=("site",),
                package_id="@acme/storefront",
                version="1.0.0",
                size_bytes=11,
                sha256=digest("the package"),
                media_type="application/gzip",
                filename="storefront-1.0.0.tgz",
                feed_hint="npm",
            ),
        ),
        step_packages=(
            ReleaseStepPackage(
                package_id="waybill-deploy-files",
                version="1.2.0",
                size_bytes=12,
                sha256=digest("step package"),
                surfaces=("executor", "ui"),
            ),
        ),
        attachments=(ReleaseAttachment(name="notes.pdf", size_bytes=10, sha256=digest("attachment")),),
    )


def sign_release(doc: ReleaseDoc, owner: Party = A) -> bytes:
    """``doc`` under the signing key of ``owner``."""
    return sign.sign_envelope(release.PAYLOAD_TYPE, release.encode(doc), owner.material.signing)


def delivery_doc(doc: ReleaseDoc, *, sender: Party = A, target: Party = B, custody: tuple[CustodyLink, ...] = ()) -> DeliveryDoc:
    """A delivery of ``doc`` that uses every field, without its values."""
    payload = release.encode(doc)
    return DeliveryDoc(
        delivery_id=fixed_id("dlv", f"{sender.name} to {target.name}"),
        epoch=1,
        seq=3,
        prev_delivery_sha256=digest("the delivery before"),
        created_at=NOW - timedelta(minutes=1),
        not_before=NOW - timedelta(minutes=1),
        expires_at=NOW + timedelta(days=30),
        sender=DeliverySender(space_id=sender.space_id, name=sender.name, key_sha256=sender.material.signing.spki_sha256),
        target=DeliveryTarget(space_id=target.space_id, enc_key_sha256=target.us.encryption_key_sha256s[0]),
        release=ReleaseRef(sha256=hashlib.sha256(payload).hexdigest(), size_bytes=len(payload)),
        environments=(DeliveryEnvironment(id=ENV_PROD, name="Production"),),
        history=(HistoryEntry(space="DevTest", environment="Test", state="succeeded", finished_at=NOW - timedelta(minutes=30)),),
        custody=custody,
        recalls=(digest("a withdrawn release"),),
        audit_checkpoint=AuditCheckpoint(origin=sender.space_id, size=41, root=digest("audit root")),
    )


def with_values(doc: DeliveryDoc, *, target: Party = B) -> DeliveryDoc:
    """``doc`` with one sealed secret (fixed ephemeral key) and one clear value for the target."""
    context = seal.context_of(doc, variable_id=VAR_SECRET, name="Password", scope=Scope())
    recipient = keys.encryption_public_key(target.material.encryption_certificate)
    ephemeral = hashlib.sha256(f"ephemeral {doc.delivery_id}".encode()).digest()
    sealed = hpke_reference.seal(seal.pad(SECRET.encode()), recipient=recipient, ephemeral=ephemeral, info=context.info())
    scope = Scope(environments=(ENV_PROD,))
    return replace(
        doc,
        values=(
            DeliveryValue(variable_id=VAR_SECRET, name="Password", type=ValueType.SECRET, sealed=sealed),
            DeliveryValue(variable_id=VAR_TARGET, name="Url", type=ValueType.TEXT, scope=scope, value="https://prod.example"),
        ),
    )


def sign_delivery(doc: DeliveryDoc, sender: Party = A) -> bytes:
    """``doc`` under the signing key of ``sender``."""
    return sign.sign_envelope(delivery.PAYLOAD_TYPE, delivery.encode(doc), sender.material.signing)


def bundle() -> tuple[bytes, bytes]:
    """A valid delivery from A to B and its release."""
    doc = release_doc()
    return sign_delivery(with_values(delivery_doc(doc))), sign_release(doc)


def relayed_bundle() -> tuple[bytes, bytes]:
    """The same release, sent on from B to C: the release's envelope is byte for byte that of A."""
    doc = release_doc()
    link = CustodyLink(space_id=A.space_id, delivery_sha256=digest("A to B"), release_verified=True, note="scanned")
    onward = replace(delivery_doc(doc, sender=B, target=C, custody=(link,)), identities=(A.envelope,))
    return sign_delivery(with_values(onward, target=C), B), sign_release(doc)


def receipt_doc() -> ReceiptDoc:
    """A receipt from B to A that uses every field."""
    return ReceiptDoc(
        receipt_id=fixed_id("rcp", "succeeded"),
        epoch=1,
        seq=4,
        prev_receipt_sha256=digest("the receipt before"),
        release_sha256=digest("a release"),
        delivery_sha256=digest("a delivery"),
        source=ReceiptParty(space_id=A.space_id, key_sha256=A.material.signing.spki_sha256),
        target=ReceiptParty(space_id=B.space_id, key_sha256=B.material.signing.spki_sha256),
        event="succeeded",
        event_no=3,
        happened_at=NOW,
        reader_version="0.1.0",
        packages=(ReceiptPackage(name="@acme/storefront 1.0.0", sha256=digest("the package")),),
        deployment_id=fixed_id("dep", "first"),
        environment=ReceiptEnvironment(id=ENV_PROD, name="Production"),
        tenant_ref="t-7",
        code=None,
        started_at=NOW - timedelta(minutes=2),
        finished_at=NOW,
        target_release_id=fixed_id("rel", "at B"),
        variables_set=("Database",),
        variables_missing=("Url",),
        approvals=(ReceiptApprovals(role="release manager", count=2),),
        lifecycle=ReceiptLifecycle(name="Standard", phases_done=1, phases_total=2),
        audit_checkpoint=AuditCheckpoint(origin=B.space_id, size=7, root=digest("audit root B")),
        gaps=(receipt.SequenceGap(first=2, last=2),),
    )


def sign_receipt(doc: ReceiptDoc, signer: Party = B) -> bytes:
    """``doc`` under the signing key of ``signer``."""
    return sign.sign_envelope(receipt.PAYLOAD_TYPE, receipt.encode(doc), signer.material.signing)


def inventory_doc() -> InventoryDoc:
    """What B tells A that it holds."""
    return InventoryDoc(
        sender_space_id=B.space_id,
        target_space_id=A.space_id,
        epoch=1,
        seq=1,
        prev_sha256=None,
        as_of=NOW,
        packages=(InventoryPackage(sha256=digest("the package"), size_bytes=11),),
        encoders=(inventory.InventoryEncoder(name="zlib", sha256=digest("zlib")),),
    )


def need_list_doc() -> NeedListDoc:
    """What B lacks for a delivery of A."""
    need = NeededBlob(
        sha256=digest("the package"),
        size_bytes=11,
        bases=(digest("an older package"),),
        ranges=(ByteRange(start=0, end=4), ByteRange(start=6, end=11)),
    )
    return NeedListDoc(
        sender_space_id=B.space_id,
        target_space_id=A.space_id,
        epoch=1,
        seq=2,
        prev_sha256=digest("the need list before"),
        created_at=NOW,
        delivery_sha256=digest("a delivery"),
        needs=(need,),
    )


def recall_doc() -> RecallDoc:
    """A withdraws a release at B."""
    return RecallDoc(
        sender_space_id=A.space_id,
        target_space_id=B.space_id,
        epoch=1,
        seq=1,
        prev_sha256=None,
        created_at=NOW,
        release_sha256=digest("a release"),
        reason="It loses data.",
    )


def peer_request_doc() -> PeerRequestDoc:
    """B asks A for an exchange."""
    return PeerRequestDoc(
        action="exchange",
        sender_space_id=B.space_id,
        target_space_id=A.space_id,
        nonce="nonce-1",
        created_at=NOW,
        body=peer.exchange_request_to_body(peer.ExchangeRequest(acknowledged=(fixed_id("out", "1"),))),
    )


def peer_answer_doc(request_payload: bytes) -> PeerAnswerDoc:
    """A answers B."""
    message = peer.PeerMessage(
        id=fixed_id("out", "2"), kind="recall", envelopes=(signed(recall.PAYLOAD_TYPE, recall.encode(recall_doc()), A),)
    )
    result = peer.PeerResult(id=fixed_id("out", "1"), code=None, state="accepted")
    return PeerAnswerDoc(
        action="exchange",
        sender_space_id=A.space_id,
        target_space_id=B.space_id,
        nonce="nonce-1",
        request_sha256=hashlib.sha256(request_payload).hexdigest(),
        created_at=NOW,
        body=peer.exchange_answer_to_body(peer.ExchangeAnswer(results=(result,), messages=(message,))),
    )


def carrier_index_doc(envelopes: tuple[tuple[str, bytes], ...], blobs: tuple[bytes, ...]) -> CarrierIndexDoc:
    """The index of a carrier from A to B with these envelopes and packages."""
    return CarrierIndexDoc(
        set_id=fixed_id("car", "one"),
        volume=1,
        volumes=1,
        sender_space_id=A.space_id,
        target_space_id=B.space_id,
        created_at=NOW,
        envelopes=tuple(
            CarrierEnvelope(kind=kind, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)) for kind, data in envelopes
        ),
        blobs=tuple(CarrierBlob(role="package", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)) for data in blobs),
    )


def signed(payload_type: str, payload: bytes, signer: Party) -> bytes:
    """``payload`` under the signing key of ``signer``."""
    return sign.sign_envelope(payload_type, payload, signer.material.signing)


def signed_inventory(doc: InventoryDoc | None = None) -> bytes:
    """An inventory under B's key."""
    return signed(inventory.PAYLOAD_TYPE, inventory.encode(doc or inventory_doc()), B)


def signed_need_list(doc: NeedListDoc | None = None) -> bytes:
    """A need list under B's key."""
    return signed(need_list.PAYLOAD_TYPE, need_list.encode(doc or need_list_doc()), B)


def signed_recall(doc: RecallDoc | None = None) -> bytes:
    """A recall under A's key."""
    return signed(recall.PAYLOAD_TYPE, recall.encode(doc or recall_doc()), A)


def signed_index(doc: CarrierIndexDoc) -> bytes:
    """A carrier index under A's key."""
    return signed(carrier_index.PAYLOAD_TYPE, carrier_index.encode(doc), A)
