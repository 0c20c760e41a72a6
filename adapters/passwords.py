# SPDX-License-Identifier: Apache-2.0
"""Passwords of local accounts by argon2id.

An answer takes as long for somebody unknown as for a wrong password, so that times tell nobody who has an account here.
Few hashes run at once: each takes 64 MiB, and a flood of sign-ins must not take the memory of the site.

Source: RFC 9106, section 4 (second recommended option: 64 MiB, 3 passes, 4 lanes).
"""

import secrets
import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError, VerifyMismatchError

_AT_ONCE: Final = 4


class Argon2Passwords:
    """``waybill.ports.Passwords``. Safe to share between threads."""

    def __init__(self, *, memory_kib: int = 64 * 1024, passes: int = 3, lanes: int = 4) -> None:
        """Makes the hash that stands in for unknown accounts, so this takes as long as one hash.

        Args:
            memory_kib: memory for one hash, in KiB; less than the default is for tests.
            passes: passes over the memory.
            lanes: threads for one hash.
        """
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """A salted hash, with its parameters inside."""
        with self._turns:
            return self._hasher.hash(password.encode("utf-8", errors="surrogatepass"))

    def matches(self, stored: str, password: str) -> bool:
        """True when ``password`` made ``stored``. Takes as long when it did not, and when ``stored`` is no hash at all (``""`` for nobody)."""
        attempt = password.encode("utf-8", errors="surrogatepass")
        with self._turns:
            try:
                return self._hasher.verify(stored, attempt)
            except VerifyMismatchError:
                return False
            except (VerificationError, ValueError):
                # Not a hash: nothing was computed yet.
                return self._refuse_nobody(attempt)

    def _refuse_nobody(self, attempt: bytes) -> bool:
        try:
            self._hasher.verify(self._nobody, attempt)
        except VerificationError:
            pass
        return False
