# SPDX-License-Identifier: Apache-2.0
"""A Space with two targets and a release for both, and what of a sealed bundle each side can see."""

from dataclasses import replace

from tests.simulators.spaces import ACCEPT, SEND, Home, action, make_home, make_pair
from waybill.app import admin, documents, identity, promote, trusts, variables
from waybill.app.access import SYSTEM
from waybill.domain.deployments import Deployment, DeploymentState
from waybill.domain.promotions import Promotion
from waybill.domain.tasks import Task
from waybill.domain.trusts import OutboxMessage, Trust
from waybill.domain.variables import Scope, ValueType
from waybill.formats.delivery import DeliveryDoc
from waybill.trust import seal, verify
from waybill.trust.verify import VerifiedBundle

CANARY = "canary-41c2-ß"


class Scene:
    """DevTest with trusts to Prod and Vault, and a release with values for each of them."""

    def __init__(self) -> None:
        self.home, self.prod, self.trust, self.back = make_pair()
        self.vault = make_home("Vault")
        self.vault.site.clock.at = self.home.site.clock.at
        self.vault_trust = self.home.trust(self.vault, grants=SEND)
        self.vault.trust(self.home, grants=ACCEPT)
        home = self.home
        home.install()
        home.push("@acme/web", "1.0.0", b"web one")
        self.test = admin.create_environment(home.ports, SYSTEM, space_id=home.space_id, name="Test")
        for name, environment in (("Prod", "Frankfurt"), ("Vault", "Bunker")):
            admin.create_remote_environment(home.ports, SYSTEM, space_id=home.space_id, trust=name, name=environment)
        cycle = home.lifecycle("Standard", ("Test",), ("Prod",))
        inputs = {"script": "#{Greeting}", "password": "#{Password}"}
        self.project = home.project(actions=(action("Deploy", package_id="@acme/web", inputs=dict(inputs)),), lifecycle=cycle)
        self.put("Greeting", value="hello")
        self.put("Password", ValueType.SECRET, value=CANARY)
        self.put("Greeting", value="guten tag", scope=Scope(environments=("Prod: Frankfurt",)))
        self.put("Greeting", value="psst", scope=Scope(environments=("Vault: Bunker",)))
        self.put("Key", ValueType.SECRET, value=f"vault-{CANARY}", scope=Scope(environments=("Vault: Bunker",)))
        self.put("Key", ValueType.SECRET, value=f"test-{CANARY}", scope=Scope(environments=("Test",)))
        self.release = home.release(self.project)

    def put(self, name: str, kind: ValueType = ValueType.TEXT, *, value: str, scope: Scope = Scope()) -> None:
        """A variable of the project."""
        variables.set_variable(
            self.home.ports, SYSTEM, space_id=self.home.space_id, project=self.project.id, name=name, type=kind, value=value, scope=scope
        )

    def deployed(self, state: DeploymentState = DeploymentState.SUCCEEDED) -> None:
        """A deployment of the release to Test."""
        now = self.home.site.clock.now()
        with self.home.ports.ledger.write(self.home.space_id) as work:
            work.of(Deployment).add(
                Deployment(
                    id=f"dep_{work.of(Deployment).count():032x}",
                    space_id=self.home.space_id,
                    project_id=self.project.id,
                    release_row_id=self.release.id,
                    environment_id=self.test.id,
                    tenant_id=None,
                    state=state,
                    task_id="tsk_" + "0" * 32,
                    created_at=now,
                    created_by="test",
                    finished_at=now,
                )
            )

    def start(self, trust: str = "Prod", release: str | None = None) -> tuple[Promotion, Task]:
        """A promotion."""
        return promote.start_promotion(
            self.home.ports, SYSTEM, space_id=self.home.space_id, release=release or self.release.id, trust=trust
        )

    def sealed(self, trust: str = "Prod") -> tuple[Promotion, tuple[bytes, bytes]]:
        """A sealed promotion and its two envelopes."""
        promotion, _ = self.start(trust)
        result = promote.seal(self.home.ports, space_id=self.home.space_id, promotion_id=promotion.id)
        return promotion, envelopes(self.home, result.document_sha256)

    def change_grants(self, **changed: object) -> None:
        """The grants of the trust with Prod changed."""
        with self.home.ports.ledger.write(self.home.space_id) as work:
            row = work.of(Trust).get(self.trust.id)
            work.of(Trust).replace(replace(row, grants=replace(row.grants, **changed)))  # type: ignore[arg-type] # told by the tests


def envelopes(home: Home, document_sha256: str) -> tuple[bytes, bytes]:
    """Delivery and Release as they leave the outbox."""
    with home.ports.ledger.read(home.space_id) as work:
        message = work.of(OutboxMessage).first(document_sha256=document_sha256)
        assert message is not None
        assert message.companion_sha256 is not None
        return documents.load(work, document_sha256).body, documents.load(work, message.companion_sha256).body


def verified(home: Home, bundle: tuple[bytes, bytes]) -> VerifiedBundle:
    """The bundle as that Space sees it."""
    now = home.site.clock.now()
    with home.ports.ledger.read(home.space_id) as work:
        return verify.verify_bundle(*bundle, us=identity.us(home.ports, work), peers=trusts.peers(home.ports, work, now), now=now)


def opened(home: Home, delivery: DeliveryDoc) -> dict[str, str]:
    """What that Space can open of the Delivery, by name."""
    with home.ports.ledger.read(home.space_id) as work:
        (key,) = identity.encryption_keys(home.ports, work)
    return {
        one.name: seal.open_value(
            one.sealed,
            private_key=key.private,
            context=seal.context_of(delivery, variable_id=one.variable_id, name=one.name, scope=one.scope),
        ).decode()
        for one in delivery.values
        if one.sealed is not None
    }
