# SPDX-License-Identifier: Apache-2.0
"""deploy-files, run-script and http-check, as built, under the real host."""

import asyncio
import hashlib
import shutil
import ssl
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.steps.conftest import Bench, Ran
from tests.steps.packing import make_tar, make_zip
from waybill.domain.deployments import RunState
from waybill.domain.ids import JsonValue
from waybill.domain.steps import StepLine
from waybill.steps.manifest import read_package

FirstParty = Callable[[str], bytes]

WHEEL = {"shop/__init__.py": b"name = 'shop'\n", "shop/web/index.html": b"<h1>Shop</h1>\n", "shop-1.0.dist-info/METADATA": b"Name: shop\n"}
NPM = {
    "package/package.json": b"{}\n",
    "package/dist/app.js": b"x" * 100_000,
    "package/bin/run.sh": b"#!/bin/sh\n",
    f"package/{'deep/' * 40}end.txt": b"end",
}


def _tree(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("package_id", "idempotent"), [("deploy-files", True), ("run-script", False), ("http-check", True)])
def test_our_packages_are_valid_and_say_whether_they_may_be_repeated(first_party: FirstParty, package_id: str, idempotent: bool) -> None:
    """Metadata, schema, file list and declarations of each package read as the host reads them."""
    manifest = read_package(first_party(package_id))
    assert (manifest.id, manifest.idempotent, manifest.permissions.declared) == (package_id, idempotent, True)
    assert manifest.outputs
    assert {"README.md", "contents.json"} <= set(manifest.file_sha256s)


async def _deploy(bench: Bench, step: bytes, directory: Path | str, package: tuple[str, bytes], **inputs: JsonValue) -> Ran:
    return await bench.run(bench.order(step, {"package": "site", "directory": str(directory), **inputs}, packages={"site": package}))


async def test_a_wheel_is_deployed_whole(bench: Bench, first_party: FirstParty, tmp_path: Path) -> None:
    """Every member is there byte for byte; count and list say so; the directory is a link that was switched."""
    target = tmp_path / "www" / "shop"
    ran = await _deploy(bench, first_party("deploy-files"), target, ("shop-1.0-py3-none-any.whl", make_zip(WHEEL)))
    assert ran.outcome.state is RunState.SUCCEEDED, ran.text
    assert _tree(target) == WHEEL
    assert ran.outcome.outputs["FileCount"] == "3"
    (listed,) = (path.read_bytes() for path in target.parent.rglob("*.sha256") if str(path) == ran.outcome.outputs["FileListPath"])
    assert hashlib.sha256(listed).hexdigest() == ran.outcome.outputs["FilesSha256"]
    assert listed.decode().splitlines() == sorted(
        (f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in WHEEL.items()), key=lambda line: line[66:]
    )
    assert target.is_symlink()


async def test_an_npm_package_is_deployed_and_the_next_version_purges(bench: Bench, first_party: FirstParty, tmp_path: Path) -> None:
    """Stripped of ``package/``; modes kept; the second deployment leaves no file, list or folder of the first."""
    step, target = first_party("deploy-files"), tmp_path / "www" / "app"
    ran = await _deploy(bench, step, target, ("app-1.0.0.tgz", make_tar(NPM)), stripComponents=1)
    assert ran.outcome.state is RunState.SUCCEEDED, ran.text
    assert _tree(target) == {name.removeprefix("package/"): content for name, content in NPM.items()}
    assert stat.S_IMODE((target / "bin/run.sh").stat().st_mode) == 0o755
    second = {"package/package.json": b"{ }\n"}
    ran = await _deploy(bench, step, target, ("app-2.0.0.tgz", make_tar(second)), stripComponents="1")
    assert _tree(target) == {"package.json": b"{ }\n"}
    assert len(list((tmp_path / "www" / ".app.waybill").iterdir())) == 2
    again = await _deploy(bench, step, target, ("app-2.0.0.tar", make_tar(second, packed=False)), stripComponents=1)
    assert again.outcome.outputs["FilesSha256"] == ran.outcome.outputs["FilesSha256"]


async def test_without_purge_other_files_stay(bench: Bench, first_party: FirstParty, tmp_path: Path) -> None:
    """Files that were there stay, replaced ones are new, and a directory that somebody else made is refused only when it would be purged."""
    step, target = first_party("deploy-files"), tmp_path / "www" / "app"
    (target / "data").mkdir(parents=True)
    (target / "data" / "kept.txt").write_text("kept")
    (target / "a.txt").write_text("old")
    refused = await _deploy(bench, step, target, ("a.zip", make_zip({"a.txt": b"new"})))
    assert (refused.outcome.state, refused.outcome.code) == (RunState.FAILED, "step.failed")
    assert "DeployFiles-Path-Foreign" in str(refused.outcome.message)
    assert not target.is_symlink()
    ran = await _deploy(bench, step, target, ("a.zip", make_zip({"a.txt": b"new"})), purge=False)
    assert ran.outcome.state is RunState.SUCCEEDED, ran.text
    assert _tree(target) == {"a.txt": b"new", "data/kept.txt": b"kept"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (make_zip({"../evil": b"x"}), "Archive-UnsafePath"),
        (make_zip({"/etc/evil": b"x"}), "Archive-UnsafePath"),
        (make_zip({"a\\..\\b": b"x"}), "Archive-UnsafePath"),
        (make_zip({"link": b"/etc"}, modes={"link": 0o120777}), "Archive-ForbiddenEntry"),
        (make_tar({"ok": b"x", "a/../../evil": b"x"}), "Archive-UnsafePath"),
        (make_tar({"ok": b"x"}, links={"link": "/etc"}), "Archive-ForbiddenEntry"),
        (make_zip({"a": b"x", "A": b"y"}), "Archive-DoubledPath"),
        (make_zip({"a": b"x", "a/b": b"y"}), "Archive-DoubledPath"),
        (make_zip({"a": b"x" * 1000})[:-40], "Archive-Unreadable"),
        (make_tar({"a": b"x" * 10_000})[:-20], "Archive-Unreadable"),
        (make_tar({"a": b"x" * 10_000}, packed=False)[:1024], "Archive-Unreadable"),
        (b"no archive at all", "Archive-Unreadable"),
        (make_zip({}), "Archive-Empty"),
    ],
    ids=range(13),
)  # fmt: skip
async def test_a_hostile_or_broken_package_changes_nothing(
    bench: Bench, first_party: FirstParty, tmp_path: Path, data: bytes, code: str
) -> None:
    """Refused with its own code; what was deployed before is still shown; nothing is left over and nothing is outside."""
    step, target = first_party("deploy-files"), tmp_path / "www" / "app"
    await _deploy(bench, step, target, ("a.zip", make_zip({"before.txt": b"before"})))
    ran = await _deploy(bench, step, target, ("b.zip", data))
    assert (ran.outcome.state, ran.outcome.code) == (RunState.FAILED, "step.failed"), ran.outcome
    assert f"DeployFiles-{code}" in str(ran.outcome.message)
    assert _tree(target) == {"before.txt": b"before"}
    assert {path.name for path in (tmp_path / "www").iterdir()} == {"app", ".app.waybill"}
    assert len(list((tmp_path / "www" / ".app.waybill").iterdir())) == 2


@pytest.mark.parametrize("directory", ["/", "/srv", "relative/path", "/srv/../etc/x"])
async def test_a_dangerous_directory_is_refused(bench: Bench, first_party: FirstParty, directory: str) -> None:
    """The root, its children, relative paths and ``..`` are no places to deploy to."""
    ran = await _deploy(bench, first_party("deploy-files"), directory, ("a.zip", make_zip({"a": b"x"})))
    assert ran.outcome.state in (RunState.FAILED, RunState.ERRORED)
    assert ran.outcome.code in ("step.failed", "process.invalid")


SCRIPTS = {
    "bash": 'set -e\r\nvalue="$(get_variable token)"\r\n[ "$value" = "$(get_variable same)" ]\r\n'
    'echo "the token is $value"\r\nset_output greeting "hello $(get_variable who)"\r\nset_output secret "$value-x" sensitive\r\n'
    'cat\r\n(cat /proc/self/cmdline /proc/$PPID/cmdline /proc/$$/cmdline /proc/self/environ; ls -A) | tr "\\0" " "\r\n',
    "python": "import os, sys\nvalue = get_variable('token')\nassert value == get_variable('same')\nprint('the token is', value)\n"
    "set_output('greeting', 'hello ' + get_variable('who'))\nset_output('secret', value + '-x', sensitive=True)\nassert sys.stdin.read() == ''\n"
    "print(open('/proc/self/cmdline').read(), dict(os.environ), os.listdir('.'))\n",
    "node": "const fs = require('node:fs'); const value = getVariable('token');\nif (value !== getVariable('same')) process.exit(9);\n"
    "console.log('the token is', value);\nsetOutput('greeting', 'hello ' + getVariable('who'));\nsetOutput('secret', value + '-x', true);\n"
    "console.log(fs.readFileSync('/proc/self/cmdline', 'utf8'), process.env, fs.readdirSync('.'), fs.readFileSync(0).length);\n",
}  # fmt: skip


@pytest.mark.parametrize("syntax", sorted(SCRIPTS))
async def test_a_script_reads_secrets_and_sets_outputs(bench: Bench, first_party: FirstParty, syntax: str) -> None:
    """In each language: the variable arrives exactly, CRLF does no harm, and the secret is in no argument, environment or file."""
    token = 'it\'s a "to\\ken" $HOME `id`\nsecond line é'
    inputs: dict[str, JsonValue] = {
        "syntax": syntax,
        "script": SCRIPTS[syntax],
        "variables": {"token": token, "same": token, "who": "world"},
    }
    ran = await bench.run(bench.order(first_party("run-script"), {**inputs, "environment": {"COLOUR": "blue"}}, masks=(token,)))
    assert ran.outcome.state is RunState.SUCCEEDED, (ran.outcome, ran.text)
    assert ran.outcome.outputs == {"greeting": "hello world", "ExitCode": "0"}
    assert ran.outcome.secret_output_names == ("secret",)
    assert "the token is ********" in ran.text
    assert "second line" not in ran.text
    assert "blue" in ran.text
    told = "\n".join(line.message for line in ran.lines if "the token is" not in line.message)
    assert told.count("********") <= 1, "the second line of the token follows the first; it stands nowhere else"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"syntax": "bash", "script": "exit 3"}, "RunScript-Script-ExitCode: The script ended with exit code 3"),
        ({"syntax": "python", "script": "raise SystemExit(4)"}, "RunScript-Script-ExitCode: The script ended with exit code 4"),
        ({"syntax": "node", "script": "throw new Error('x')"}, "RunScript-Script-ExitCode: The script ended with exit code 1"),
        ({"syntax": "bash", "script": "kill -9 $$"}, "RunScript-Script-Killed"),
        ({"syntax": "bash", "script": "true", "environment": {"LD_PRELOAD": "x"}}, "RunScript-Environment-Invalid"),
        ({"syntax": "bash", "script": "printf 'a\\0b\\0c\\0d\\0' >&4"}, "RunScript-Helper-Malformed"),
    ],
)
async def test_a_script_that_fails_fails_the_step(
    bench: Bench, first_party: FirstParty, inputs: Mapping[str, JsonValue], code: str
) -> None:
    """Exit code, signal and forbidden settings: failed, with the step's own code in the message."""
    ran = await bench.run(bench.order(first_party("run-script"), inputs))
    assert (ran.outcome.state, ran.outcome.code) == (RunState.FAILED, "step.failed")
    assert str(ran.outcome.message).startswith(code)


async def test_a_script_sees_the_deployment_and_its_packages(bench: Bench, first_party: FirstParty) -> None:
    """Facts and package paths are variables; the package is readable there."""
    script = 'get_variable Waybill.environment; echo; cat "$(get_variable "Waybill.Package[data].Path")"'
    order = bench.order(first_party("run-script"), {"syntax": "bash", "script": script}, packages={"data": ("data.txt", b"contents\n")})
    assert (await bench.run(order)).at("info") == ["Test", "contents"]


async def test_a_cancelled_script_ends(bench: Bench, first_party: FirstParty) -> None:
    """The script and what it started are gone, and the run is cancelled."""
    cancelled, pids = asyncio.Event(), list[int]()

    def on_line(line: StepLine) -> None:
        if line.message.isdigit():
            pids.append(int(line.message))
            cancelled.set()

    order = bench.order(first_party("run-script"), {"syntax": "bash", "script": "sleep 1000 & echo $!; wait"})
    ran = await bench.run(order, cancelled=cancelled, on_line=on_line)
    assert ran.outcome.state is RunState.CANCELLED
    assert not psutil.pid_exists(pids[0])


class Site:
    """Answers by a list of (status, body), the last one for ever; remembers what it was asked."""

    def __init__(self, answers: list[tuple[int, bytes]], tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[tuple[str, str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                site.asked.append((self.command, str(self.headers.get("x-token")), self.rfile.read(length).decode()))
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ready?token=unshown"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Starts sites; stops them afterwards."""
    sites: list[Site] = []

    def start(*answers: tuple[int, bytes]) -> Site:
        sites.append(Site(list(answers)))
        return sites[-1]

    yield start
    for site in sites:
        site.server.shutdown()
        site.server.server_close()


async def test_a_site_that_comes_up_is_accepted(bench: Bench, first_party: FirstParty, serve: Callable[..., Site]) -> None:
    """Two wrong answers and then the right one; header and body are sent; neither query nor header value is told."""
    site = serve((503, b"starting"), (200, b"half"), (201, b"version 1.1.0\n"))
    inputs: dict[str, JsonValue] = {
        "url": site.url, "method": "POST", "body": "ping", "headers": {"x-token": "header-secret"}, "expectedStatus": [200, "201"],
        "expectedText": "version", "expectedPattern": "1\\.[0-9]+\\.0", "retries": 5, "intervalSeconds": "0.01",
    }  # fmt: skip
    ran = await bench.run(bench.order(first_party("http-check"), inputs, masks=("header-secret",)))
    assert ran.outcome.state is RunState.SUCCEEDED, (ran.outcome, ran.text)
    assert (ran.outcome.outputs["StatusCode"], ran.outcome.outputs["Tries"]) == ("201", "3")
    assert site.asked == [("POST", "header-secret", "ping")] * 3
    assert "unshown" not in ran.text


@pytest.mark.parametrize(
    ("answer", "inputs", "why"),
    [
        ((302, b""), {}, "status 302 instead of 200"),
        ((200, b"x"), {"expectedText": "y"}, "the answer does not hold the expected text"),
        ((200, b"x"), {"expectedPattern": "^y$"}, "the answer does not match the expected pattern"),
        ((200, b"x" * 2_000_000), {"expectedText": "y"}, "the first 1048576 characters of the answer does not hold"),
        ((200, b"x"), {"expectedPattern": "("}, "HttpCheck-Pattern-Invalid"),
        ((200, b"x"), {"url": "http://me:pw@127.0.0.1/"}, "HttpCheck-Url-Credentials"),
        ((200, b"x"), {"url": "http://127.0.0.1:1/"}, "ECONNREFUSED"),
    ],
)  # fmt: skip
async def test_a_site_that_answers_otherwise_fails_the_check(
    bench: Bench, first_party: FirstParty, serve: Callable[..., Site], answer: tuple[int, bytes], inputs: Mapping[str, JsonValue], why: str
) -> None:
    """Status, text, pattern, an answer that is too long, no answer: failed, with the reason; a redirect is not followed."""
    site = serve(answer)
    ran = await bench.run(bench.order(first_party("http-check"), {"url": site.url, **inputs}))
    assert (ran.outcome.state, ran.outcome.code) == (RunState.FAILED, "step.failed")
    assert why in str(ran.outcome.message)
    assert len(site.asked) <= 1


async def test_a_site_under_an_unknown_authority_is_refused(bench: Bench, first_party: FirstParty, tls_site: tuple[str, str]) -> None:
    """Over TLS only the given certificate authority counts."""
    url, ca_pem = tls_site
    ran = await bench.run(bench.order(first_party("http-check"), {"url": url, "caPem": ca_pem}))
    assert ran.outcome.state is RunState.SUCCEEDED, ran.outcome
    ran = await bench.run(bench.order(first_party("http-check"), {"url": url}))
    assert "certificate" in str(ran.outcome.message)


def test_the_build_is_reproducible(dist: Path, tmp_path: Path) -> None:
    """Built again, at another time in another place, every file has the same bytes."""
    copy = tmp_path / "elsewhere" / "steps"
    shutil.copytree(dist.parent, copy, symlinks=True, ignore=shutil.ignore_patterns("dist", "build", "typescript", ".tests-*", ".dist-*"))
    subprocess.run(["node", "tools/build.mjs"], cwd=copy, check=True, timeout=120)
    assert _tree(copy / "dist") == _tree(dist)
    assert len(_tree(dist)) == 4


@pytest.fixture
def tls_site() -> Iterator[tuple[str, str]]:
    """An https address and the only authority that it comes from."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem + private)
        file.flush()
        context.load_cert_chain(file.name)
    site = Site([(200, b"ok")], context)
    yield site.url.replace("http://", "https://"), pem
    site.server.shutdown()
    site.server.server_close()
