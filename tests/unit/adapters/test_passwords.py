# SPDX-License-Identifier: Apache-2.0
"""Passwords: the right one matches, nothing else does, and an unknown account costs as much as a wrong password."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from adapters.passwords import Argon2Passwords


@pytest.fixture(scope="module")
def passwords() -> Argon2Passwords:
    """Cheap ones."""
    return Argon2Passwords(memory_kib=256, passes=1, lanes=1)


@pytest.mark.parametrize("password", ["correct horse", "", "пароль é \x00 \ud800", "x" * 5000])
def test_only_the_right_password_matches(passwords: Argon2Passwords, password: str) -> None:
    """Any text can be a password; hashes of it differ, and another text does not match."""
    first, second = passwords.hash(password), passwords.hash(password)
    assert first != second
    assert passwords.matches(first, password)
    assert not passwords.matches(first, password + " ")


def test_the_defaults_are_those_of_the_rfc() -> None:
    """argon2id with 64 MiB, 3 passes and 4 lanes, written into the hash."""
    found = extract_parameters(Argon2Passwords().hash("x"))
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (Type.ID, 65536, 3, 4)


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$broken", "é", "\ud800"])
def test_no_hash_is_nobodys(passwords: Argon2Passwords, stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no hash never matches, after one full computation on the stand-in's."""
    seen: list[str] = []
    real = passwords._hasher.verify

    def verify(hash_text: str, password: bytes) -> bool:
        seen.append(hash_text)
        return real(hash_text, password)

    monkeypatch.setattr(type(passwords._hasher), "verify", lambda _self, hash_text, password: verify(hash_text, password))
    assert not passwords.matches(stored, "guess")
    assert seen == [stored, passwords._nobody]


def test_many_sign_ins_at_once_are_served(passwords: Argon2Passwords) -> None:
    """More threads than turns: all are answered, and rightly."""
    stored = passwords.hash("right")
    barrier = threading.Barrier(12)

    def attempt(number: int) -> bool:
        barrier.wait(30)
        return passwords.matches(stored, "right" if number % 2 else "wrong") == bool(number % 2)

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(attempt, range(12)))
