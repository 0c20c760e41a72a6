# SPDX-License-Identifier: Apache-2.0
"""What the engine stores is ciphertext that opens only with the right key, under the right id, in the right namespace."""

import json
import stat
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from adapters.codec import ENCODING, KeyRing, KeyRingCodec, make_converter, read_key_ring, write_key_ring
from waybill.domain.stories import PromoteInput
from waybill.errors import FormatError

OLD, NEW = bytes(32), bytes(range(32))
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"promotion_id":"prm_1"}')


def codec(*, active: str = "old", namespace: str = "site-a") -> KeyRingCodec:
    """A codec with both keys."""
    return KeyRingCodec(KeyRing({"old": OLD, "new": NEW}, active), namespace=namespace)


async def code_of_refusal(given: KeyRingCodec, payload: Payload) -> str:
    """The code with which the payload was refused."""
    with pytest.raises(FormatError) as refused:
        await given.decode([payload])
    return refused.value.code


async def test_a_payload_comes_back_and_shows_nothing() -> None:
    """The whole payload is encrypted, its metadata too."""
    [sealed] = await codec().encode([PLAIN])
    assert sealed.metadata["encoding"] == ENCODING
    assert b"prm_1" not in sealed.SerializeToString()
    assert b"json/plain" not in sealed.SerializeToString()
    assert await codec().decode([sealed]) == [PLAIN]


async def test_the_same_payload_twice_looks_different() -> None:
    """Each has a nonce of its own, so equal inputs are not recognised."""
    first, second = await codec().encode([PLAIN, PLAIN])
    assert first.data != second.data


async def test_after_a_rotation_old_payloads_still_open() -> None:
    """The ring keeps the old key; new payloads name the new one."""
    [before] = await codec(active="old").encode([PLAIN])
    [after] = await codec(active="new").encode([PLAIN])
    assert (before.metadata["key-id"], after.metadata["key-id"]) == (b"old", b"new")
    assert await codec(active="new").decode([before, after]) == [PLAIN, PLAIN]


async def test_a_swapped_key_id_does_not_open() -> None:
    """The id is bound into the ciphertext."""
    [sealed] = await codec().encode([PLAIN])
    sealed.metadata["key-id"] = b"new"
    assert await code_of_refusal(codec(), sealed) == "payload.undecodable"


async def test_an_unknown_key_id_is_named_as_such() -> None:
    """A retired key makes payloads unreadable, and that is said."""
    [sealed] = await codec().encode([PLAIN])
    only_new = KeyRingCodec(KeyRing({"new": NEW}, "new"), namespace="site-a")
    assert await code_of_refusal(only_new, sealed) == "payload.undecodable"


async def test_a_foreign_namespace_does_not_open() -> None:
    """One file of keys for two namespaces still gives two different keys."""
    [sealed] = await codec(namespace="site-a").encode([PLAIN])
    assert await code_of_refusal(codec(namespace="site-b"), sealed) == "payload.undecodable"


@pytest.mark.parametrize("at", [0, 12, -1])
async def test_a_changed_byte_does_not_open(at: int) -> None:
    """Nonce, ciphertext and tag are all authenticated."""
    [sealed] = await codec().encode([PLAIN])
    changed = bytearray(sealed.data)
    changed[at] ^= 1
    sealed.data = bytes(changed)
    assert await code_of_refusal(codec(), sealed) == "payload.undecodable"


async def test_a_cut_payload_does_not_open() -> None:
    """Fewer bytes than a nonce are refused and do not crash."""
    [sealed] = await codec().encode([PLAIN])
    for size in (0, 5, 12, 20):
        cut = Payload(metadata=dict(sealed.metadata), data=sealed.data[:size])
        assert await code_of_refusal(codec(), cut) == "payload.undecodable"


async def test_a_plain_payload_passes() -> None:
    """An operator's command line sends plain payloads."""
    assert await codec().decode([PLAIN]) == [PLAIN]


async def test_large_payloads_take_the_same_way_on_a_thread() -> None:
    """Above half a MiB the work leaves the event loop."""
    large = Payload(metadata={"encoding": b"binary/plain"}, data=bytes(700 * 1024))
    assert await codec().decode(await codec().encode([large])) == [large]


async def test_stories_inputs_survive_the_converter() -> None:
    """A frozen dataclass of the core comes back as itself."""
    converter = make_converter(KeyRing({"old": OLD}, "old"), namespace="site-a")
    given = PromoteInput(space_id="spc_1", task_id="tsk_1", promotion_id="prm_1", trust_id="trs_1", road="call")
    assert await converter.decode(await converter.encode([given]), [PromoteInput]) == [given]


async def test_a_failure_shows_its_code_and_nothing_else() -> None:
    """Messages and stacks are encrypted; the type, which is our code, stays readable."""
    converter = make_converter(KeyRing({"old": OLD}, "old"), namespace="site-a")
    failure = Failure()
    await converter.encode_failure(ApplicationError("the customer's name", type="package.missing"), failure)
    assert b"customer" not in failure.SerializeToString()
    assert failure.application_failure_info.type == "package.missing"
    assert "the customer's name" in str(await converter.decode_failure(failure))


def test_a_new_ring_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """The file is made with mode 0600, reads back, and is never overwritten."""
    path = tmp_path / "ring.json"
    made = write_key_ring(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_ring(path).keys == made.keys
    with pytest.raises(FormatError, match="exists already"):
        write_key_ring(path)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"active":"k1","keys":{}}', '{"active":"k1","keys":{"k1":"AAAA"}}', '{"active":"k1","keys":{"k1":"%%%"}}'],
)
def test_a_broken_ring_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    """The file is a secret: no error text shows its content."""
    path = tmp_path / "ring.json"
    path.write_text(text)
    with pytest.raises(FormatError) as refused:
        read_key_ring(path)
    assert refused.value.code == "settings.invalid"
    assert refused.value.__cause__ is None


def test_a_ring_prints_no_key() -> None:
    """Its representation has ids only."""
    assert json.dumps(NEW.hex()) not in repr(KeyRing({"k": NEW}, "k"))
    assert "k" in repr(KeyRing({"k": NEW}, "k"))
