# SPDX-License-Identifier: Apache-2.0
"""Who may do what, sign-in, and API keys."""

import zlib
from datetime import timedelta

import pytest

from tests.simulators.site import Site, make_site
from waybill.app import access, admin
from waybill.app.access import SYSTEM
from waybill.domain.access import AccessGrant, Account, ApiKey, Caller, Permission, Session
from waybill.errors import ConflictError, FormatError, NotFoundError, PolicyError
from waybill.ports import SITE

PASSWORD = "correct horse battery"
EVERYTHING = (AccessGrant(space_id="*", permissions=("*",)),)


@pytest.fixture
def site() -> Site:
    """An empty site."""
    return make_site()


def caller(*permissions: str, space_id: str = "spc_a") -> Caller:
    """A person with these rights in one Space."""
    return Caller(id="acc_x", name="x", kind="person", grants=(AccessGrant(space_id=space_id, permissions=permissions),))


def signed_up(site: Site, username: str = "ada", grants: tuple[AccessGrant, ...] = EVERYTHING) -> Account:
    """An account that may sign in."""
    return access.create_account(site.ports, SYSTEM, username=username, password=PASSWORD, grants=grants)


def signed_in(site: Site, username: str = "ada") -> Caller:
    """That account's caller."""
    _, token = access.login(site.ports, username=username, password=PASSWORD)
    return access.caller_of_session(site.ports, token=token)


def test_a_foreign_space_is_absent_and_a_missing_right_is_named() -> None:
    """Without any right the Space does not exist; with another right the missing one is named."""
    with pytest.raises(NotFoundError) as absent:
        access.require(caller("space.read"), "spc_b", Permission.SPACE_READ)
    assert absent.value.code == "record.absent"
    with pytest.raises(PolicyError) as denied:
        access.require(caller("space.read"), "spc_a", Permission.TRUST_EDIT)
    assert (denied.value.code, denied.value.expected) == ("authz.denied", "trust.edit")
    access.require(caller("space.read"), "spc_a", Permission.SPACE_READ)
    access.require(SYSTEM, "spc_b", Permission.TRUST_EDIT)


def test_rights_of_the_site_are_not_held_in_one_space() -> None:
    """``*`` in one Space does not make an administrator of the site."""
    assert not access.permits(caller("*"), SITE, Permission.SITE_ADMIN)
    assert not access.permits(caller("*"), "spc_a", Permission.PAYLOAD_DECODE)
    assert access.permits(caller("site.admin", space_id="*"), SITE, Permission.SITE_ADMIN)


def test_only_own_spaces_are_visible(site: Site) -> None:
    """A12: users see only Spaces granted to them."""
    one, other = (admin.create_space(site.ports, SYSTEM, name=name) for name in ("One", "Other"))
    assert access.visible_spaces(site.ports, caller("space.read", space_id=one.id)) == [one]
    assert access.visible_spaces(site.ports, SYSTEM) == [one, other]
    with pytest.raises(NotFoundError):
        admin.get_space(site.ports, caller("space.read", space_id=one.id), space=other.slug)


def test_signing_in_and_out(site: Site) -> None:
    """A session's token gives the person's rights until it is signed out or over."""
    account = signed_up(site)
    session, token = access.login(site.ports, username="ada", password=PASSWORD)
    assert token not in repr(session)
    found = access.caller_of_session(site.ports, token=token)
    assert (found.id, found.kind, found.grants) == (account.id, "person", EVERYTHING)
    access.logout(site.ports, token=token)
    with pytest.raises(PolicyError):
        access.caller_of_session(site.ports, token=token)
    _, late = access.login(site.ports, username="ada", password=PASSWORD)
    site.clock.advance(access.SESSION_LIFE + timedelta(seconds=1))
    with pytest.raises(PolicyError) as caught:
        access.caller_of_session(site.ports, token=late)
    assert caught.value.code == "authn.invalid"


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong password!"), ("nobody", PASSWORD), ("ada", "x" * 10_000), ("ada", "")])
def test_wrong_names_and_passwords_look_the_same(site: Site, username: str, password: str) -> None:
    """Nothing tells whether the name or the password was wrong."""
    signed_up(site)
    with pytest.raises(PolicyError) as caught:
        access.login(site.ports, username=username, password=password)
    assert str(caught.value) == "authn.invalid: the credentials are not valid"


def test_changing_a_password_ends_every_session(site: Site) -> None:
    """The new password works, the old one does not, and nobody stays signed in."""
    signed_up(site)
    _, token = access.login(site.ports, username="ada", password=PASSWORD)
    person = access.caller_of_session(site.ports, token=token)
    with pytest.raises(PolicyError):
        access.change_password(site.ports, person, current="wrong password!", new="another long one")
    with pytest.raises(FormatError):
        access.change_password(site.ports, person, current=PASSWORD, new="short")
    changed = access.change_password(site.ports, person, current=PASSWORD, new="another long one")
    assert not changed.must_change_password
    with pytest.raises(PolicyError):
        access.caller_of_session(site.ports, token=token)
    access.login(site.ports, username="ada", password="another long one")


def test_accounts_need_an_administrator_a_free_name_and_known_rights(site: Site) -> None:
    """A name twice, a strange permission and a caller without the right are refused."""
    signed_up(site)
    with pytest.raises(ConflictError) as twice:
        signed_up(site)
    assert twice.value.code == "record.conflict"
    with pytest.raises(FormatError) as strange:
        signed_up(site, "bob", (AccessGrant(space_id="*", permissions=("space.fly",)),))
    assert strange.value.field == "grants/0"
    with pytest.raises(PolicyError):
        access.create_account(site.ports, caller("*"), username="eve", password=PASSWORD, grants=())
    assert [account.username for account in access.list_accounts(site.ports, SYSTEM)] == ["ada"]


def test_a_key_works_until_it_is_revoked_or_over(site: Site) -> None:
    """The token is shown once, stored as a hash, and worthless after revocation or expiry."""
    signed_up(site)
    person = signed_in(site)
    now = site.clock.now()
    key, token = access.create_key(site.ports, person, name="ci", grants=EVERYTHING, expires_at=now + timedelta(days=1))
    assert token.startswith("waybill_")
    assert key.token_sha256 not in token
    assert access.caller_of_key(site.ports, token=token).name == "ada (ci)"
    with site.ports.ledger.read(SITE) as work:
        assert work.of(ApiKey).get(key.id).last_used_at is not None
    access.revoke_key(site.ports, person, key_id=key.id)
    with pytest.raises(PolicyError):
        access.caller_of_key(site.ports, token=token)
    _, brief = access.create_key(site.ports, person, name="brief", grants=EVERYTHING, expires_at=now + timedelta(hours=1))
    site.clock.advance(timedelta(hours=1))
    with pytest.raises(PolicyError):
        access.caller_of_key(site.ports, token=brief)


def test_a_mistyped_key_is_refused_without_a_query(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Security.md row 82: a wrong checksum never reaches the database."""

    def explode(_space_id: str) -> None:
        raise AssertionError("the ledger was asked")

    monkeypatch.setattr(site.ledger, "read", explode)
    body = "A" * 43
    for token in ("", "waybill_", f"waybill_{body}_00000000", f"other_{body}_{zlib.crc32(body.encode()):08x}", "waybill_é_00000000"):
        with pytest.raises(PolicyError) as caught:
            access.caller_of_key(site.ports, token=token)
        assert caught.value.code == "authn.invalid"


def test_a_key_never_exceeds_its_maker(site: Site) -> None:
    """More than one's own rights cannot be given, and rights that the maker loses are lost to the key."""
    signed_up(site, "bob", (AccessGrant(space_id="spc_a", permissions=("space.read", "project.edit")),))
    person = signed_in(site, "bob")
    soon = site.clock.now() + timedelta(days=1)
    for grants in (EVERYTHING, (AccessGrant(space_id="spc_b", permissions=("space.read",)),)):
        with pytest.raises(PolicyError) as caught:
            access.create_key(site.ports, person, name="ci", grants=grants, expires_at=soon)
        assert caught.value.code == "authz.denied"
    wanted = (AccessGrant(space_id="spc_a", permissions=("project.edit",)),)
    _, token = access.create_key(site.ports, person, name="ci", grants=wanted, expires_at=soon)
    assert access.caller_of_key(site.ports, token=token).grants == wanted
    with pytest.raises(PolicyError):
        access.create_key(site.ports, access.caller_of_key(site.ports, token=token), name="ci2", grants=wanted, expires_at=soon)
    with pytest.raises(FormatError):
        access.create_key(site.ports, person, name="long", grants=wanted, expires_at=soon + timedelta(days=400))


def test_another_accounts_key_is_absent(site: Site) -> None:
    """Revoking somebody else's key looks like revoking none; an administrator of the site may."""
    signed_up(site)
    signed_up(site, "bob", (AccessGrant(space_id="spc_a", permissions=("space.read",)),))
    key, _ = access.create_key(site.ports, signed_in(site), name="ci", grants=EVERYTHING, expires_at=site.clock.now() + timedelta(days=1))
    bob = signed_in(site, "bob")
    assert access.list_keys(site.ports, bob) == []
    with pytest.raises(NotFoundError):
        access.revoke_key(site.ports, bob, key_id=key.id)
    assert access.revoke_key(site.ports, SYSTEM, key_id=key.id).revoked_at is not None


def test_no_token_is_stored(site: Site) -> None:
    """Only hashes of tokens reach the ledger."""
    signed_up(site)
    _, token = access.login(site.ports, username="ada", password=PASSWORD)
    with site.ports.ledger.read(SITE) as work:
        rows = [*work.of(Session).where(), *work.of(Account).where()]
    assert token not in repr(rows)
    assert PASSWORD not in repr(rows)
