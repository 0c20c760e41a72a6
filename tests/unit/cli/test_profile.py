# SPDX-License-Identifier: Apache-2.0
"""The configuration file: private, whole at every moment, and behind flags and environment."""

import stat
import threading
import tomllib
from pathlib import Path

import pytest

from cli.profile import Profile, chosen_name, config_path, find_profile, forget_profile, load_profile, save_profile
from waybill.errors import PolicyError


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose configuration file does not exist yet."""
    return {"WAYBILL_CONFIG": str(tmp_path / "made" / "config.toml")}


def profile(name: str = "default", *, token: str = "a token", space: str | None = "devtest") -> Profile:
    """A profile of a site."""
    return Profile(name=name, url="https://site.example:8443", token=token, space=space, ca="/ca.pem")


def load(environment: dict[str, str], **flags: str) -> Profile:
    """The profile to use with these flags."""
    given: dict[str, str | None] = {"name": None, "url": None, "space": None, "ca": None, **flags}
    return load_profile(name=given["name"], url=given["url"], space=given["space"], ca=given["ca"], environment=environment)


def test_only_its_owner_can_read_it(environment: dict[str, str]) -> None:
    """The file has mode 600, its new directory 700, even when it was readable by others before."""
    path = save_profile(profile(), environment=environment)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    save_profile(profile(), environment=environment)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_never_half_written(environment: dict[str, str]) -> None:
    """A reader beside a writer always sees a whole file, and nothing stays beside it."""
    path = save_profile(profile(token="x" * 200_000), environment=environment)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            save_profile(profile(token="x" * 200_000), environment=environment)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert len(tomllib.loads(path.read_text())["profiles"]["default"]["token"]) == 200_000
    finally:
        stop.set()
        writer.join()
    assert [one.name for one in path.parent.iterdir()] == ["config.toml"]


def test_what_was_saved_is_loaded(environment: dict[str, str]) -> None:
    """All fields come back, also with quotes, line ends and letters of any script in them."""
    odd = Profile(name='the "odd" one', url="https://ö.example", token='a"b\\c\nd', space="ß", ca="/dir with spaces/ca.pem")
    save_profile(odd, environment=environment)
    assert load(environment, name=odd.name) == odd


def test_the_last_sign_in_is_the_default(environment: dict[str, str]) -> None:
    """Saving makes a profile the default, unless told otherwise; the others stay."""
    save_profile(profile("one"), environment=environment)
    save_profile(profile("two"), environment=environment)
    assert load(environment).name == "two"
    save_profile(profile("one", space="other"), make_default=False, environment=environment)
    assert load(environment).name == "two"
    assert load(environment, name="one").space == "other"


def test_flags_come_before_environment_before_file(environment: dict[str, str], tmp_path: Path) -> None:
    """For each setting: the flag, else the variable, else the file."""
    save_profile(profile(), environment=environment)
    token = tmp_path / "token"
    token.write_text("token of a file\n")
    assert load(environment) == profile()
    environment |= {
        "WAYBILL_URL": "https://two.example/",
        "WAYBILL_SPACE": "two",
        "WAYBILL_CA": "/two.pem",
        "WAYBILL_TOKEN_FILE": str(token),
    }
    assert load(environment) == Profile(name="default", url="https://two.example", token="token of a file", space="two", ca="/two.pem")
    flagged = load(environment, url="https://three.example", space="three", ca="/three.pem")
    assert (flagged.url, flagged.space, flagged.ca) == ("https://three.example", "three", "/three.pem")


def test_which_profile_is_chosen(environment: dict[str, str]) -> None:
    """The flag, else WAYBILL_PROFILE, else the default of the file, else ``default``."""
    assert chosen_name(None, environment=environment) == "default"
    save_profile(profile("kept"), environment=environment)
    assert chosen_name(None, environment=environment) == "kept"
    environment["WAYBILL_PROFILE"] = "named"
    assert chosen_name(None, environment=environment) == "named"
    assert chosen_name("flag", environment=environment) == "flag"


def test_no_sign_in_is_said(environment: dict[str, str]) -> None:
    """Without a site, or without a token, nobody has signed in; the profile is named."""
    with pytest.raises(PolicyError) as caught:
        load(environment, name="prod")
    assert (caught.value.code, caught.value.found) == ("authn.required", "prod")
    save_profile(profile(token=""), environment=environment)
    with pytest.raises(PolicyError, match=r"authn\.required"):
        load(environment)


def test_forgetting_takes_the_token_only(environment: dict[str, str]) -> None:
    """Address, Space and authority stay for the next sign-in, and the default stays what it was."""
    save_profile(profile("one"), environment=environment)
    save_profile(profile("two"), environment=environment)
    forget_profile("one", environment=environment)
    assert find_profile("one", environment=environment) == profile("one", token="")
    assert chosen_name(None, environment=environment) == "two"
    forget_profile("never seen", environment=environment)
    assert find_profile("never seen", environment=environment) is None


@pytest.mark.parametrize("content", [b"default = ", b"\xff\xfe\x00"])
def test_a_broken_file_is_named(environment: dict[str, str], content: bytes) -> None:
    """What is not TOML is refused with the file's name, not with a stack."""
    path = config_path(environment)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load(environment)
    assert caught.value.code == "settings.invalid"
    assert str(path) in str(caught.value)


def test_a_token_file_that_is_absent_is_named(environment: dict[str, str]) -> None:
    """WAYBILL_TOKEN_FILE must be readable."""
    environment |= {"WAYBILL_URL": "https://site.example", "WAYBILL_TOKEN_FILE": "/nowhere/token"}
    with pytest.raises(PolicyError, match="/nowhere/token"):
        load(environment)


def test_where_the_file_is(tmp_path: Path) -> None:
    """WAYBILL_CONFIG, else the configuration directory, else ~/.config."""
    assert config_path({"WAYBILL_CONFIG": "/a/b.toml"}) == Path("/a/b.toml")
    assert config_path({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "waybill" / "config.toml"
    assert config_path({}) == Path.home() / ".config" / "waybill" / "config.toml"
