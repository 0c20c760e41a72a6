# SPDX-License-Identifier: Apache-2.0
"""The decision about a received bundle: bound to what was shown, taken once, and what it writes."""

from dataclasses import replace

import pytest

from tests.unit.app.world import SECRET, World, approve, deploy_all, events, import_it, make_world, resign, state_of
from waybill.app import importing, lifecycles, preview, promote, receive, secrets
from waybill.app.access import SYSTEM
from waybill.domain.bundles import Answer, InboxBundle, InboxState
from waybill.domain.lifecycles import Phase
from waybill.domain.packages import Package, StepPackage
from waybill.domain.projects import Project
from waybill.domain.promotions import PromotionState
from waybill.domain.releases import Release, SnapshotValue
from waybill.domain.stories import ImportDecision
from waybill.domain.trusts import Road
from waybill.domain.variables import Variable
from waybill.errors import ConflictError, FormatError, TrustError, WaybillError
from waybill.formats import delivery as delivery_format
from waybill.formats import envelope


@pytest.fixture
def world() -> World:
    """Two Spaces with a release 1.0.0 that was deployed to Test."""
    made = make_world()
    deploy_all(made.source, made.release(), "Test")
    return made


@pytest.fixture
def ready(world: World) -> InboxBundle:
    """The bundle of 1.0.0, complete and undecided."""
    return world.ready(world.promote(world.release()))


def answer(world: World, inbox: InboxBundle, value: str = "shop.example", variable: str = "Domain") -> None:
    """The template of the bundle answered."""
    importing.put_answers(
        world.target.ports,
        SYSTEM,
        space_id=world.target.space_id,
        inbox=inbox.id,
        answers=[importing.AnswerInput(variable=variable, environment="Production", tenant=None, value=value)],
    )


def decide(world: World, inbox: InboxBundle, **changes: str | None) -> InboxBundle:
    """A decision about what the preview shows, with some of it replaced."""
    shown = preview.preview(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=inbox.id)
    given = {"verdict": "approve", "bundle_sha256": shown.bundle_sha256, "preview_sha256": shown.sha256, **changes}
    return importing.decide(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=inbox.id, **given)  # type: ignore[arg-type]


def code(caught: pytest.ExceptionInfo[WaybillError]) -> str:
    """The code of a refusal."""
    return caught.value.code


def test_the_preview_is_deterministic_and_names_what_is_missing(world: World, ready: InboxBundle) -> None:
    """Twice computed it has one digest; it lists the template without a value, where each action runs, and no secret."""
    one = preview.preview(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=ready.id)
    other = preview.preview(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=ready.bundle_sha256)
    assert one == other
    assert [(line.name, line.environment_name, line.state) for line in one.templates] == [("Domain", "Production", "missing")]
    assert [(line.name, line.runs_in) for line in one.actions] == [
        ("Deploy", ("Production",)),
        ("Smoke", ("Production",)),
        ("Only in Test", ()),
    ]
    assert {line.change for line in one.packages} == {"added"}
    assert [line.name for line in one.lifecycles if line.preselected] == ["Prod only"]
    assert (one.project_change, one.only_changes) == ("created", False)
    assert SECRET not in repr(one)
    assert [line.is_secret for line in one.variables if line.name == "Token"] == [True]


def test_an_answer_changes_the_preview_and_voids_an_earlier_approval(world: World, ready: InboxBundle) -> None:
    """Who approves the preview from before an answer approves something that is no longer here."""
    before = preview.preview(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=ready.id)
    answer(world, ready)
    with pytest.raises(ConflictError) as caught:
        decide(world, ready, preview_sha256=before.sha256)
    assert code(caught) == "bundle.changed"
    assert state_of(world.target, ready) is InboxState.READY


def test_other_bytes_cannot_be_approved(world: World, ready: InboxBundle) -> None:
    """A decision names the bundle that it is about."""
    with pytest.raises(ConflictError) as caught:
        decide(world, ready, bundle_sha256="0" * 64)
    assert code(caught) == "bundle.changed"


def test_an_answer_of_the_wrong_kind_is_refused(world: World, ready: InboxBundle) -> None:
    """A template that the bundle has not, and a value that does not fit, change nothing."""
    with pytest.raises(FormatError) as caught:
        answer(world, ready, variable="Nothing")
    assert code(caught) == "request.invalid"
    with pytest.raises(FormatError) as caught:
        answer(world, ready, value="two\nlines")
    assert code(caught) == "template.value_invalid"
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(Answer).count() == 0


def test_approval_tells_the_story_and_imports_once(world: World, ready: InboxBundle) -> None:
    """Remote project, release, snapshot, packages and answer are there; the import again gives the same release."""
    answer(world, ready)
    decided = approve(world.target, ready)
    assert decided.state is InboxState.IMPORTING
    told = world.target.site.engine.updates[-1]
    assert (told.workflow_id, told.name) == (f"import:{ready.id}", "decide")
    assert isinstance(told.argument, ImportDecision)
    ports, space_id = world.target.ports, world.target.space_id
    release = importing.apply_import(ports, space_id=space_id, inbox_id=ready.id)
    assert importing.apply_import(ports, space_id=space_id, inbox_id=ready.id) == release
    with ports.ledger.read(space_id) as work:
        project = work.of(Project).get(release.project_id)
        assert (project.owner_name, project.name, project.remote_project_id) == ("DevTest", "Storefront", world.project.id)
        assert [(row.package_id, row.origin) for row in work.of(Package).where()] == [("app", "bundle")]
        assert [(row.package_id, row.origin) for row in work.of(StepPackage).where()] == [("run-script", "bundle")]
        values = [(row.name, row.value, row.origin) for row in work.of(Variable).where()]
        token = work.of(SnapshotValue).first(release_row_id=release.id, name="Token")
    assert values == [("Domain", "shop.example", "answer")]
    assert token is not None
    assert token.sealed is not None
    assert secrets.open_snapshot(ports, token.sealed, row_id=token.id, space_id=space_id) == SECRET
    assert events(world.target, "out") == ["received", "ready", "imported"]


def test_the_same_decision_twice_is_one_and_another_is_refused(world: World, ready: InboxBundle) -> None:
    """The first decision wins; repeating it is no fault."""
    shown = preview.preview(world.target.ports, SYSTEM, space_id=world.target.space_id, inbox=ready.id)
    first = decide(world, ready)
    again = importing.decide(
        world.target.ports,
        SYSTEM,
        space_id=world.target.space_id,
        inbox=ready.id,
        verdict="approve",
        bundle_sha256=shown.bundle_sha256,
        preview_sha256=shown.sha256,
    )
    assert again == first
    with pytest.raises(ConflictError) as caught:
        importing.decide(
            world.target.ports,
            SYSTEM,
            space_id=world.target.space_id,
            inbox=ready.id,
            verdict="reject",
            bundle_sha256=shown.bundle_sha256,
            preview_sha256=shown.sha256,
            reason="too late",
        )
    assert code(caught) == "bundle.decided"


def test_a_rejection_comes_home_as_a_signed_refusal(world: World, ready: InboxBundle) -> None:
    """The reason stays here; the source learns that a person said no."""
    with pytest.raises(FormatError) as caught:
        decide(world, ready, verdict="reject")
    assert code(caught) == "request.invalid"
    decide(world, ready, verdict="reject", reason="not this week")
    rejected = importing.apply_rejection(world.target.ports, space_id=world.target.space_id, inbox_id=ready.id)
    assert importing.apply_rejection(world.target.ports, space_id=world.target.space_id, inbox_id=ready.id) == rejected
    assert rejected.state is InboxState.REJECTED
    with pytest.raises(ConflictError):
        importing.apply_import(world.target.ports, space_id=world.target.space_id, inbox_id=ready.id)
    world.carry_home()
    promotions = promote.list_promotions(world.source.ports, SYSTEM, space_id=world.source.space_id)
    assert [one.state for one in promotions.items] == [PromotionState.REFUSED]
    assert events(world.target, "out") == ["received", "ready", "refused"]


def test_without_a_single_candidate_a_lifecycle_must_be_chosen(world: World, ready: InboxBundle) -> None:
    """Ambiguity is never guessed (A71); another Space's lifecycle is not there."""
    lifecycles.save_lifecycle(
        world.target.ports, SYSTEM, space_id=world.target.space_id, name="Careful", phases=[Phase(name="One", members=("Production",))]
    )
    with pytest.raises(ConflictError) as caught:
        decide(world, ready)
    assert code(caught) == "lifecycle.needed"
    assert decide(world, ready, lifecycle="Careful").lifecycle_id is not None


def test_a_bundle_that_waits_for_packages_cannot_be_decided(world: World) -> None:
    """Nothing is approved that is not here whole."""
    inbox = world.accept(world.promote(world.release()))
    with pytest.raises(ConflictError) as caught:
        decide(world, inbox)
    assert code(caught) == "bundle.not_ready"


def test_a_secret_that_does_not_open_refuses_the_import(world: World) -> None:
    """A ciphertext that was changed and signed again imports nothing, and the source is told the one code."""
    delivery, release = world.bundle(world.promote(world.release()))
    doc = delivery_format.decode(envelope.decode(delivery).payload)
    spoiled = tuple(replace(one, sealed=bytes([*one.sealed[:-1], one.sealed[-1] ^ 1])) if one.sealed else one for one in doc.values)
    inbox = receive.accept_bundle(
        world.target.ports,
        space_id=world.target.space_id,
        delivery=resign(world, delivery, values=spoiled),
        release=release,
        road=Road.CARRIER,
    ).inbox
    world.bring_blobs(inbox)
    receive.mark_ready(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    approve(world.target, inbox)
    with pytest.raises(TrustError) as caught:
        importing.apply_import(world.target.ports, space_id=world.target.space_id, inbox_id=inbox.id)
    assert code(caught) == "secret.decrypt_failed"
    assert state_of(world.target, inbox) is InboxState.REFUSED
    assert events(world.target, "out") == ["received", "ready", "refused"]
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert (work.of(Release).count(), work.of(Project).count()) == (0, 0)


def test_a_local_project_of_the_same_name_is_never_merged(world: World, ready: InboxBundle) -> None:
    """Storefront of this Space and DevTest: Storefront stand side by side (A66)."""
    world.target.install("run-script", "1.0.0")
    own = world.target.project("Storefront")
    release = import_it(world.target, ready)
    assert release.project_id != own.id


def test_the_same_release_in_a_second_bundle_adds_nothing(world: World, ready: InboxBundle) -> None:
    """A release that is here under its digest is that release, whatever bundle brings it again."""
    release = import_it(world.target, ready)
    with world.target.ports.ledger.read(world.target.space_id) as work:
        assert work.of(Release).count() == 1
        assert work.of(Release).get(release.id).release_sha256 == ready.release_sha256
