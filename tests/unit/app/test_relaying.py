# SPDX-License-Identifier: Apache-2.0
"""Relays: what a middle Space may forward, and that the release stays what it was."""

import hashlib
from dataclasses import replace

import pytest

from tests.simulators.spaces import ACCEPT, SEND, Home, make_home
from tests.unit.app.promoting import CANARY, Scene, envelopes, opened, verified
from waybill.app import documents, promote, sealing
from waybill.app.access import SYSTEM
from waybill.domain.packages import Blob
from waybill.domain.projects import Project
from waybill.domain.releases import Release
from waybill.domain.trusts import Trust
from waybill.errors import TrustError
from waybill.formats.delivery import DeliveryDoc
from waybill.ports import SITE


@pytest.fixture
def scene() -> Scene:
    """A fresh scene."""
    return Scene()


def imported(middle: Home, source: Home, bundle: tuple[bytes, bytes], *, relay: bool) -> Release:
    """The bundle as the middle Space holds it after an import (rows only), ready to be forwarded."""
    found = verified(middle, bundle)
    now = middle.site.clock.now()
    secrets_of = opened(middle, found.delivery)
    cycle = middle.lifecycle("Onward", ("Vault",))
    with middle.ports.ledger.write(middle.space_id) as work:
        trust = work.of(Trust).first(peer_space_id=source.space_id)
        assert trust is not None
        if relay:
            work.of(Trust).replace(replace(trust, grants=replace(trust.grants, relay=True)))
        documents.store(work, body=bundle[0], kind="delivery", created_at=now)
        stored = documents.store(work, body=bundle[1], kind="release", created_at=now)
        project = Project(
            id="prj_" + "a" * 32,
            space_id=middle.space_id,
            slug="devtest-storefront",
            name=found.release.project.name,
            lifecycle_id=cycle,
            owner_space_id=source.space_id,
            owner_name="DevTest",
            remote_project_id=found.release.project.id,
            trust_id=trust.id,
        )
        work.of(Project).add(project)
        release = Release(
            id="rel_" + "a" * 32,
            space_id=middle.space_id,
            project_id=project.id,
            release_id=found.release.release_id,
            release_version=found.release.version,
            channel=found.release.channel_name,
            notes="",
            frozen_at=found.release.frozen_at,
            release_sha256=found.release_sha256,
            document_sha256=stored.sha256,
            created_by="import",
            delivery_sha256=found.bundle_sha256,
            trust_id=trust.id,
        )
        work.of(Release).add(release)
        add_values(middle, work, release, found.delivery, secrets_of)
    with middle.ports.ledger.write(SITE) as work:
        for need in sealing.blobs_of(found.release):
            work.of(Blob).add(Blob(id=need.sha256, size_bytes=need.size_bytes, verified_at=now))
    return release


def add_values(middle: Home, work: object, release: Release, delivery: DeliveryDoc, secrets_of: dict[str, str]) -> None:
    """The delivered values as snapshot rows, secrets wrapped by the middle Space."""
    from waybill.app.secrets import seal_snapshot
    from waybill.domain.releases import SnapshotValue

    for number, one in enumerate(delivery.values):
        row_id = f"snp_{number:032x}"
        sealed = None
        if one.sealed is not None:
            sealed = seal_snapshot(middle.ports, secrets_of[one.name], row_id=row_id, space_id=middle.space_id)
        work.of(SnapshotValue).add(  # type: ignore[attr-defined] # a unit of work
            SnapshotValue(
                id=row_id,
                space_id=middle.space_id,
                release_row_id=release.id,
                variable_id=one.variable_id,
                name=one.name,
                type=one.type,
                scope=one.scope,
                value=one.value,
                sealed=sealed,
            )
        )


def test_a_relay_forwards_the_same_release_and_seals_the_secrets_anew(scene: Scene) -> None:
    """A31, N14: the owner's bytes and signature reach the third Space; its key opens the secret; the chain names the hop."""
    scene.deployed()
    _, bundle = scene.sealed()
    middle, last = scene.prod, make_home("Vault2", site=None)
    last.site.clock.at = middle.site.clock.at
    middle_trust = middle.trust(make_named(last, "Vault"), grants=SEND)
    last.trust(middle, grants=replace(ACCEPT, relay=True))
    release = imported(middle, scene.home, bundle, relay=True)
    promotion, _ = promote.start_promotion(middle.ports, SYSTEM, space_id=middle.space_id, release=release.id, trust=middle_trust.id)
    result = promote.seal(middle.ports, space_id=middle.space_id, promotion_id=promotion.id)
    onward = envelopes(middle, result.document_sha256)
    assert onward[1] == bundle[1]
    found = verified(last, onward)
    assert (found.release_sha256, found.owner.doc.space_id) == (scene.release.release_sha256, scene.home.space_id)
    assert [(link.space_id, link.delivery_sha256) for link in found.via] == [(scene.home.space_id, hashlib_of(bundle[0]))]
    assert opened(last, found.delivery) == {"Password": CANARY}
    assert {one.name for one in found.delivery.values} == {"Password"}
    with pytest.raises(TrustError):
        opened(middle, found.delivery)


def make_named(home: Home, name: str) -> Home:
    """The same Space under another local name."""
    return replace(home, name=name)


def hashlib_of(body: bytes) -> str:
    """The payload digest of an envelope."""
    from waybill.formats import envelope

    return hashlib.sha256(envelope.decode(body).payload).hexdigest()


def test_a_relay_needs_a_grant_and_never_goes_back(scene: Scene) -> None:
    """A28, A31: without a grant the middle Space refuses; a Space of the chain is never a target again."""
    scene.deployed()
    _, bundle = scene.sealed()
    middle, last = scene.prod, make_home("Vault2")
    last.site.clock.at = middle.site.clock.at
    middle.trust(make_named(last, "Vault"), grants=SEND)
    with middle.ports.ledger.write(middle.space_id) as work:
        trust = work.of(Trust).get(scene.back.id)
        work.of(Trust).replace(replace(trust, grants=replace(trust.grants, send_releases=True)))
    release = imported(middle, scene.home, bundle, relay=False)
    for target, code in (("Vault", "trust.relay_denied"), ("DevTest", "bundle.loop")):
        with pytest.raises(TrustError) as caught:
            promote.start_promotion(middle.ports, SYSTEM, space_id=middle.space_id, release=release.id, trust=target)
        assert caught.value.code == code
