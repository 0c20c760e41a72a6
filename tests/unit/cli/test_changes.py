# SPDX-License-Identifier: Apache-2.0
"""Each command that the demo does not use is used here once: it names the revision that it read, and shows what came of it."""

from pathlib import Path

import pytest

from tests.api import rows
from tests.api.population import Size, populate
from tests.api.world import PASSWORD, make_account
from tests.unit.cli.runner import CommandLine, Ended, Served
from waybill.app import access, admin
from waybill.domain.access import EVERY_SPACE, AccessGrant


@pytest.fixture(scope="module")
def full(served: Served) -> str:
    """A Space that has something of everything, as rows."""
    space = admin.create_space(served.world.site.ports, access.SYSTEM, name="Full", slug="full")
    populate(served.world.site.ports, space_id=space.id, size=Size(projects=3, environments=3, remote=1))
    return space.slug


def done(ended: Ended) -> Ended:
    """It went well."""
    assert ended.code == 0, ended.err
    return ended


def test_a_trust_from_beginning_to_end(waybill: CommandLine, tmp_path: Path) -> None:
    """Registered from the other Space's file, confirmed by what they say, changed, and ended by its name."""
    identity = tmp_path / "elsewhere.identity.json"
    done(waybill("--space", "elsewhere", "identity", "export", "--out", str(identity)))
    made = done(waybill("trust", "register", str(identity), "--name", "Elsewhere", "--road", "carrier", "--grant", "send-releases"))
    told = done(waybill("--space", "elsewhere", "identity", "show", "-o", "name")).out.strip()
    assert told not in made.err.split("then confirm", 1)[1], "the command to paste must not hold what is to be compared"
    wrong = waybill("trust", "confirm", "elsewhere", "--fingerprint", "0" * 64)
    assert (wrong.code, "[trust.fingerprint_mismatch]" in wrong.err) == (6, True)
    nobody = waybill("trust", "confirm", "elsewhere")
    assert (nobody.code, "--fingerprint" in nobody.err) == (2, True)
    asked = done(waybill("-o", "json", "trust", "confirm", "elsewhere", stdin=told + "\n", keyboard=True))
    assert asked.json["state"] == "active"
    assert f"automation command: waybill trust confirm elsewhere --fingerprint {told}" in asked.err
    changed = done(waybill("-o", "json", "trust", "change", "elsewhere", "--road", "answer", "--grant", "accept-receipts")).json
    assert (changed["road"], changed["grants"]["accept_receipts"], changed["grants"]["send_releases"]) == ("answer", True, False)
    done(waybill("trust", "update", "elsewhere", str(identity)))
    refused = waybill("trust", "retire", "elsewhere")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    mistyped = waybill("trust", "retire", "elsewhere", stdin="elsewere\n", keyboard=True)
    assert (mistyped.code, "type Elsewhere to go on" in mistyped.err, "nothing was changed" in mistyped.err) == (2, True, True)
    assert done(waybill("-o", "json", "trust", "show", "elsewhere")).json["state"] == "active"
    done(waybill("trust", "retire", "elsewhere", stdin="Elsewhere\n", keyboard=True))


def test_a_machine_comes_and_goes(waybill: CommandLine) -> None:
    """Its token alone is on standard output; disabled, it is shown so."""
    done(waybill("environment", "create", "Machines"))
    token = done(waybill("machine", "register", "web1", "--role", "web", "--environment", "Machines", "-o", "name"))
    assert token.out.startswith("wbm_")
    assert len(token.out.split()) == 1
    done(waybill("machine", "disable", "web1", "--yes"))
    assert next(row for row in done(waybill("-o", "json", "machine", "list")).json if row["name"] == "web1")["disabled"] is True


def test_a_variable_is_replaced_and_deleted(waybill: CommandLine) -> None:
    """The same name in the same scope is one variable; another scope is another one."""
    done(waybill("project", "create", "Changing"))
    done(waybill("environment", "create", "Scope"))
    for value in ("one", "two"):
        done(waybill("variable", "set", "changing", "Colour", "--value", value))
        done(waybill("variable", "set", "changing", "Colour", "--value", value, "--environment", "Scope"))
    rows = done(waybill("-o", "json", "variable", "list", "changing")).json
    assert [row["value"] for row in rows] == ["two", "two"]
    done(waybill("variable", "delete", "changing", rows[0]["id"], "--yes"))
    assert len(done(waybill("-o", "json", "variable", "list", "changing")).json) == 1


def test_a_project_and_its_lifecycle(waybill: CommandLine) -> None:
    """Made, renamed, moved to another lifecycle; the process is printed as it can be set again."""
    done(waybill("environment", "create", "Stage"))
    done(waybill("lifecycle", "create", "Short", "--phase", "Stage=Stage"))
    assert "Stage" in done(waybill("lifecycle", "list")).out
    done(waybill("project", "create", "Movable"))
    changed = done(waybill("-o", "json", "project", "change", "movable", "--name", "Moved", "--lifecycle", "short", "--group", "Shop")).json
    assert (changed["name"], changed["group"], changed["lifecycle_id"] is not None) == ("Moved", "Shop", True)
    assert done(waybill("process", "show", "movable")).json == {"actions": []}


def test_a_tenant(waybill: CommandLine) -> None:
    """Made with its tags, and listed."""
    done(waybill("tenant", "create", "Harbour Clinic", "--tag", "Region/North"))
    assert "Region/North" in done(waybill("tenant", "list")).out


def test_a_release_is_blocked_and_let_go(waybill: CommandLine, served: Served) -> None:
    """With the reason that everybody sees."""
    release = rows.make_release(served.world, rows.make_project(served.world, "Blockable"))
    blocked = done(waybill("-o", "json", "release", "block", release.id, "--reason", "wrong prices")).json
    assert blocked["blocked_reason"] == "wrong prices"
    assert done(waybill("-o", "json", "release", "list", "--project", "blockable")).json[0]["blocked_reason"] == "wrong prices"
    assert waybill("release", "unblock", "1.0.0").code == 2
    done(waybill("release", "unblock", "1.0.0", "--project", "blockable"))
    assert done(waybill("-o", "json", "release", "list", "--project", "blockable")).json[0]["blocked_reason"] is None


def test_a_password_is_changed(stranger: CommandLine, served: Served, tmp_path: Path) -> None:
    """From files, never from flags; the old one is worthless then."""
    make_account(served.world.site, "carol", (AccessGrant(space_id=EVERY_SPACE, permissions=("space.read",)),), must_change_password=True)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(PASSWORD + "\n")
    new.write_text("another long password\n")
    at = ("--ca", str(served.ca))
    first = stranger(*at, "login", served.url, "--username", "carol", "--password-file", str(old))
    assert (first.code, "must be changed first" in first.err) == (3, True)
    done(stranger(*at, "password", served.url, "--username", "carol", "--old-file", str(old), "--new-file", str(new)))
    assert stranger(*at, "login", served.url, "--username", "carol", "--password-file", str(old)).code == 3
    done(stranger(*at, "login", served.url, "--username", "carol", "--password-file", str(new)))


@pytest.mark.parametrize(
    "command",
    ["space list", "environment list", "machine list", "trust list", "project list", "release list", "promotion list", "deployment list",
     "task list", "task list --state succeeded", "receipt list", "carrier list", "inbox list", "package list", "step list", "audit list",
     "audit verify", "dashboard", "identity show", "key list", "whoami", "lifecycle list", "tenant list"],
)  # fmt: skip
def test_each_list_in_each_format(waybill: CommandLine, full: str, command: str) -> None:
    """A table with no braces in it for people, and JSON and nothing else for programs."""
    table = done(waybill("--space", full, *command.split()))
    assert "{" not in table.out
    assert done(waybill("--space", full, "-o", "json", *command.split())).json is not None
    names = done(waybill("--space", full, "-o", "name", *command.split()))
    assert all("  " not in line for line in names.out.splitlines())


def test_each_thing_is_shown(waybill: CommandLine, served: Served, tmp_path: Path) -> None:
    """As lines for people and whole as JSON; a receipt's envelope goes into a file as it was signed."""
    world = served.world
    trust = rows.make_trust(world, "Shown")
    release = rows.make_release(world, rows.make_project(world, "Shown"))
    promotion, receipt = rows.make_promotion(world, release, trust), rows.make_receipt(world, trust, envelope=b'{"payload":"signed"}')
    deployment = rows.make_deployment(world, release, rows.make_environment(world, "Shown"))
    shown = {
        "promotion": promotion.id,
        "receipt": receipt.id,
        "deployment": deployment.id,
        "task": rows.make_task(world).id,
        "trust": trust.id,
    }
    for kind, name in shown.items():
        assert name in done(waybill(kind, "show", name)).out
        assert name in done(waybill("-o", "json", kind, "show", name)).out
    envelope = tmp_path / "receipt.json"
    done(waybill("receipt", "show", receipt.id, "--out", str(envelope)))
    assert envelope.read_bytes() == b'{"payload":"signed"}'


def test_the_log_of_a_task(waybill: CommandLine, full: str) -> None:
    """Lines for people, a list as JSON, also when there are none."""
    task = done(waybill("--space", full, "-o", "json", "task", "list")).json[0]["id"]
    assert done(waybill("--space", full, "task", "log", task)).code == 0
    assert done(waybill("--space", full, "-o", "json", "task", "log", task)).json == []
