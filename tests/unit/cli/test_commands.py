# SPDX-License-Identifier: Apache-2.0
"""``waybill`` against a real API over TLS: signing in, the formats of output, and how each failure is told."""

import stat
import tomllib
from pathlib import Path

import pytest

from cli.profile import find_profile
from tests.api.world import PASSWORD, make_account
from tests.unit.cli.runner import CommandLine, Served
from waybill.domain.access import AccessGrant


def test_signing_in_keeps_a_key_and_no_password(stranger: CommandLine, served: Served) -> None:
    """The key is in a private file, with the authority; the password is nowhere; the session of the sign-in is over."""
    ended = stranger("--ca", str(served.ca), "login", served.url, "--username", "ada", "--password-stdin", stdin=PASSWORD)
    assert ended.code == 0, ended.err
    assert ended.out == ""
    content = stranger.config.read_text()
    assert stat.S_IMODE(stranger.config.stat().st_mode) == 0o600
    assert PASSWORD not in content + ended.err
    stored = tomllib.loads(content)["profiles"]["default"]
    assert stored["token"].startswith("waybill_")
    assert (stored["url"], stored["ca"]) == (served.url, str(served.ca))
    assert stored["token"] not in ended.err
    assert stranger("-o", "json", "whoami").json["name"].startswith("ada")


def test_the_only_space_is_chosen(stranger: CommandLine, served: Served) -> None:
    """Somebody who sees one Space need never name it; who sees two is told that none is chosen."""
    make_account(served.world.site, "bob", (AccessGrant(space_id=served.world.space.id, permissions=("space.read",)),))
    login = ("--ca", str(served.ca), "login", served.url, "--password-stdin", "--username")
    told = stranger(*login, "bob", stdin=PASSWORD)
    assert "in the Space devtest" in told.err
    assert stranger("-o", "json", "project", "list").code == 0
    told = stranger("--profile", "two", *login, "ada", stdin=PASSWORD)
    assert "no Space is chosen yet" in told.err
    refused = stranger("--profile", "two", "project", "list")
    assert (refused.code, "waybill space use SPACE" in refused.err) == (2, True)
    assert stranger("--profile", "two", "space", "use", "elsewhere").code == 0
    assert stranger("--profile", "two", "-o", "json", "project", "list").json == []


def test_a_wrong_password_is_refused(stranger: CommandLine, served: Served) -> None:
    """Exit 3, and nothing is written."""
    ended = stranger("--ca", str(served.ca), "login", served.url, "--username", "nobody", "--password-stdin", stdin="a wrong password")
    assert (ended.code, "[authn.invalid]" in ended.err) == (3, True)
    assert "a wrong password" not in ended.err
    assert not stranger.config.exists()


def test_signing_out_forgets_the_key(waybill: CommandLine) -> None:
    """The profile stays, its token goes; the next command says how to sign in."""
    assert waybill("logout").code == 0
    stored = find_profile("default", environment={"WAYBILL_CONFIG": str(waybill.config)})
    assert stored is not None
    assert stored.token == ""
    assert waybill("space", "list").code == 3


@pytest.mark.parametrize(
    "command", [("space", "list"), ("promotion", "start", "a", "1", "--to", "b"), ("dashboard",), ("api", "/api/v1/me")]
)
def test_without_signing_in_each_command_says_how(stranger: CommandLine, command: tuple[str, ...]) -> None:
    """Exit 3, what and what to do, nothing on standard output."""
    ended = stranger(*command)
    assert (ended.code, ended.out) == (3, "")
    assert "waybill login URL --username NAME" in ended.err
    assert "[authn.required]" in ended.err


def test_a_key_that_is_no_more(waybill: CommandLine, tmp_path: Path) -> None:
    """A token that the site does not know: exit 3, and the token is not repeated."""
    token = tmp_path / "token"
    token.write_text("waybill_" + "A" * 43 + "_00000000\n")
    ended = waybill("space", "list", environment={"WAYBILL_TOKEN_FILE": str(token)})
    assert ended.code == 3
    assert "A" * 43 not in ended.err


@pytest.mark.parametrize(
    "command",
    [
        ("--space", "nowhere", "project", "list"),
        ("--space", "nowhere", "dashboard"),
        ("space", "use", "nowhere"),
        ("task", "show", "tsk_absent"),
        ("process", "show", "absent"),
        ("release", "show", "9.9.9", "--project", "absent"),
        ("trust", "confirm", "absent", "--fingerprint", "00"),
        ("machine", "disable", "absent", "--yes"),
        ("variable", "delete", "absent", "var_absent"),
        ("api", "/api/v1/spaces/nowhere"),
    ],
)
def test_what_is_not_there_is_exit_4(waybill: CommandLine, command: tuple[str, ...]) -> None:
    """An unknown Space, and an unknown thing in a known one."""
    ended = waybill(*command)
    assert (ended.code, ended.out) == (4, ""), ended.err
    assert "[record.absent]" in ended.err
    assert "what to do: Check the name and the Space." in ended.err


def test_a_site_that_does_not_answer(waybill: CommandLine) -> None:
    """Exit 1; the address stands in the message, and what to check."""
    ended = waybill("--url", "https://127.0.0.1:9", "space", "list")
    assert (ended.code, ended.out) == (1, "")
    assert "https://127.0.0.1:9 does not answer" in ended.err
    assert "[cli.unreachable]" in ended.err
    assert "what to do: Check the address" in ended.err


def test_a_site_whose_authority_is_not_known(stranger: CommandLine, served: Served) -> None:
    """Exit 3, and --ca is named, since that is what is missing."""
    ended = stranger("login", served.url, "--username", "ada", "--password-stdin", stdin=PASSWORD)
    assert (ended.code, "--ca" in ended.err, PASSWORD in ended.err) == (3, True, False)


@pytest.mark.parametrize("url", ["http://site.example", "site.example", "ftp://site.example", "https://[::1", ""])
def test_an_address_that_would_leak_or_is_none(stranger: CommandLine, url: str) -> None:
    """No password and no key goes over plain HTTP to another machine, and what is no URL is said to be none."""
    ended = stranger("login", url, "--username", "ada", "--password-stdin", stdin=PASSWORD)
    assert (ended.code, "https://" in ended.err, "Traceback" in ended.err) == (2, True, False), ended


def test_the_three_formats(waybill: CommandLine) -> None:
    """JSON is whole and alone, names stand line by line, a table has a head; remarks are on standard error."""
    for name in ("Alpha", "Beta"):
        assert waybill("environment", "create", f"{name} of formats").code == 0
    listed = waybill("-o", "json", "environment", "list")
    assert {"Alpha of formats", "Beta of formats"} <= {row["name"] for row in listed.json}
    assert listed.err == ""
    names = waybill("-o", "name", "environment", "list").out.split()
    assert {"alpha-of-formats", "beta-of-formats"} <= set(names)
    table = waybill("environment", "list").out.splitlines()
    assert table[0].split() == ["slug", "full", "name", "confirmed", "id"]
    assert any(line.startswith("alpha-of-formats  Alpha of formats") for line in table)


def test_an_empty_list_says_how_to_fill_it(waybill: CommandLine) -> None:
    """On standard error, so that a script sees nothing; as JSON it is an empty list."""
    table = waybill("--space", "elsewhere", "package", "list")
    assert (table.code, table.out) == (0, "")
    assert "waybill package push FILE" in table.err
    assert waybill("--space", "elsewhere", "-o", "json", "package", "list").json == []


def test_options_may_stand_anywhere(waybill: CommandLine) -> None:
    """Before the command or behind it."""
    assert waybill("-o", "json", "space", "list").json == waybill("space", "list", "-o", "json").json


def test_no_secret_as_a_flag(waybill: CommandLine, tmp_path: Path) -> None:
    """Refused before anything is sent; a file and standard input are taken, and no list shows the value."""
    assert waybill("project", "create", "Secretive").code == 0
    refused = waybill("variable", "set", "secretive", "Token", "--type", "secret", "--value", "planted-9f2")
    assert (refused.code, "--value-file or --value-stdin" in refused.err, "planted-9f2" in refused.err) == (2, True, False)
    file = tmp_path / "token"
    file.write_text("planted-9f2\n")
    saved = waybill("-o", "json", "variable", "set", "secretive", "Token", "--type", "secret", "--value-file", str(file))
    assert saved.code == 0, saved.err
    again = waybill("variable", "set", "secretive", "Token", "--type", "secret", "--value-stdin", stdin="planted-9f3\n")
    assert again.code == 0, again.err
    for command in (("variable", "list", "secretive"), ("-o", "json", "variable", "list", "secretive"), ("audit", "list")):
        shown = waybill(*command)
        assert shown.code == 0
        assert "planted" not in shown.out + shown.err + saved.out + again.out
    assert [row["name"] for row in waybill("-o", "json", "variable", "list", "secretive").json] == ["Token"]


def test_there_is_no_flag_for_a_password_or_a_token(stranger: CommandLine) -> None:
    """Not even hidden ones."""
    for command in (("login", "https://a.example", "--username", "a", "--password", "b"), ("--token", "b", "space", "list")):
        ended = stranger(*command)
        assert (ended.code, "Unknown" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("trust", "register", "absent.json", "--name", "x", "--road", "call"), "absent.json"),
        (("process", "set", "p", "absent.json"), "absent.json"),
        (("package", "push", "absent.tgz", "--id", "a", "--version", "1"), "absent.tgz"),
        (("identity", "export", "--out", "/nowhere/at/all.json"), "/nowhere/at/all.json"),
        (("variable", "set", "p", "N", "--value-file", "absent.txt"), "absent.txt"),
        (("lifecycle", "create", "L", "--phase", "Test"), "NAME=MEMBER"),
        (("release", "create", "p", "1", "--package", "styles"), "NAME=VERSION"),
        (("promotion", "start", "p", "1"), "--to"),
        (("trust", "register"), "FILE"),
        (("nonsense",), "nonsense"),
        (("trust", "regster"), "register"),
        (("task", "watch", "t", "--timeout", "soon"), "30m"),
        (("variable", "set", "p", "N"), "standard input"),
    ],
)
def test_a_wrong_command_is_exit_2_and_says_what(waybill: CommandLine, command: tuple[str, ...], named: str) -> None:
    """What is wrong is named; nothing is asked of a script, and nobody sees a stack."""
    ended = waybill(*command)
    assert (ended.code, ended.out) == (2, ""), ended
    assert named in ended.err
    assert "what to do:" in ended.err
    assert "Traceback" not in ended.err


def test_a_file_that_is_not_json(waybill: CommandLine, tmp_path: Path) -> None:
    """Line and column are said."""
    file = tmp_path / "process.json"
    file.write_text('{"actions": [,]}')
    ended = waybill("process", "set", "p", str(file))
    assert (ended.code, "line 1 column 14" in ended.err) == (2, True)


def test_a_refusal_is_exit_5(waybill: CommandLine) -> None:
    """A name that is taken; the remedy of the code is printed."""
    assert waybill("space", "create", "Taken Twice").code == 0
    ended = waybill("space", "create", "Taken Twice")
    assert (ended.code, "[record.conflict]" in ended.err, "what to do:" in ended.err) == (5, True, True)


def test_what_cannot_be_undone_is_never_done_unasked(waybill: CommandLine) -> None:
    """Without a person and without --yes it is refused and nothing changes; with --yes it is done."""
    create = ("key", "create", "short-lived", "--username", "ada", "--password-stdin", "--permission", "space.read")
    made = waybill("-o", "json", *create, stdin=PASSWORD).json
    refused = waybill("key", "revoke", made["id"])
    assert (refused.code, "--yes" in refused.err) == (2, True)
    row = next(row for row in waybill("-o", "json", "key", "list").json if row["id"] == made["id"])
    assert row["revoked_at"] is None
    assert waybill("key", "revoke", made["id"], "--yes").code == 0


def test_a_key_for_a_program(waybill: CommandLine, tmp_path: Path) -> None:
    """A person makes it with their password; it works by WAYBILL_TOKEN_FILE alone, and only where and for what it may."""
    create = ("key", "create", "ci", "--username", "ada", "--password-stdin", "--permission", "space.read", "--in-space", "devtest")
    made = waybill("-o", "name", *create, stdin=PASSWORD)
    assert made.code == 0, made.err
    token = tmp_path / "token"
    token.write_text(made.out)
    program = {"WAYBILL_TOKEN_FILE": str(token)}
    assert waybill("-o", "json", "space", "list", environment=program).json[0]["slug"] == "devtest"
    assert waybill("project", "list", environment=program).code == 0
    denied = waybill("project", "create", "Denied", environment=program)
    assert (denied.code, "[authz.denied]" in denied.err) == (5, True)
    assert waybill("--space", "elsewhere", "project", "list", environment=program).code == 4


def test_an_answer_that_is_not_ours(waybill: CommandLine) -> None:
    """Something else that answers at the address is not taken for a site."""
    ended = waybill("api", "/api/v1/docs-that-are-not-there")
    assert ended.code == 4
    ended = waybill("api", "/livez")
    assert ended.code in {0, 3}
    assert "Traceback" not in ended.err


def test_completion_offers_what_is_there(waybill: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live names of the site and Space that the words so far choose; nothing and no message when it cannot be asked."""
    assert waybill("environment", "create", "Completed").code == 0
    assert waybill("project", "create", "Completable").code == 0

    def complete(*words: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["waybill", "__complete", *words])
        ended = waybill("__complete", *words)
        assert (ended.code, ended.err) == (0, "")
        return [line.split("\t")[0] for line in ended.out.splitlines()]

    assert "completable" in complete("release", "create", "")
    assert "Completed" in complete("deployment", "start", "completable", "1.0.0", "--to", "")
    assert "devtest" in complete("space", "use", "")
    assert "completable" not in complete("--space", "elsewhere", "release", "create", "")
    assert "completable" not in complete("--url", "https://127.0.0.1:9", "release", "create", "")
