# SPDX-License-Identifier: Apache-2.0
"""The main job, chapter by chapter, by the command line alone, as three people in three data centres would do it."""

import json
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sites.demo import evidence, storefront
from sites.demo.claims import Claims
from sites.demo.packages import LOCALES, STYLES_NEW, STYLES_OLD, PublicPackage, fetch
from sites.demo.world import DemoSite, World
from sites.machines import STEPS
from sites.machines import add_machine as run_machine

STEP_PACKAGES = STEPS / "packages"
TITLES = {"frankfurt": "Storefront of Frankfurt", "vault": "Storefront of the Vault"}


@dataclass(slots=True, kw_only=True)
class Crossing:
    """What one promotion cost, for the summary."""

    release: str
    target: str
    road: str
    state: str = ""
    seconds: float = 0.0
    seconds_to_ready: float = 0.0
    package_bytes: int = 0
    sent_bytes: int = 0
    saved_bytes: int = 0
    wire_bytes: int | None = None
    carrier_bytes: int | None = None
    packages: list[dict[str, Any]] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)


class Scenario:
    """One run of the main job over a running world."""

    def __init__(self, world: World, claims: Claims) -> None:
        self.world, self.claims = world, claims
        self.files = world.directory / "files"
        self.secret = secrets.token_urlsafe(24)
        self.crossings: list[Crossing] = []
        self.digests: dict[str, str] = {}
        self._say = world.say

    def run(self) -> None:
        """Every chapter, in order."""
        self.files.mkdir(parents=True, exist_ok=True)
        self._packages = {
            package: fetch(package, self.world.directory.parent / "packages") for package in (LOCALES, STYLES_OLD, STYLES_NEW)
        }
        self._chapter("Three people sign in, each at their own site", self.sign_in)
        self._chapter("Trust: identities are carried, registered, compared by voice and confirmed", self.make_trust)
        self._chapter("Environments and the machines that run steps", self.make_environments)
        self._chapter("DevTest: packages, process, values, lifecycle", self.make_project)
        self._chapter("Release 1.0.0 in Test", lambda: self.release_to_test("1.0.0", STYLES_OLD))
        self._chapter("Release 1.0.0 crosses to Prod, which pulls", lambda: self.promote_connected("1.0.0", STYLES_OLD, first=True))
        self._chapter("Release 1.0.0 is carried to the Vault", lambda: self.first_by_carrier("1.0.0", STYLES_OLD))
        self._chapter("Release 1.1.0: one package new, one unchanged", lambda: self.release_to_test("1.1.0", STYLES_NEW))
        self._chapter("Release 1.1.0 crosses to Prod", lambda: self.promote_connected("1.1.0", STYLES_NEW, first=False))
        self._chapter("Release 1.1.0 is carried to the Vault, and its receipt home", lambda: self.promote_by_carrier("1.1.0", STYLES_NEW))
        self._chapter("The planted secret is looked for everywhere", self.search_secret)

    def sign_in(self) -> None:
        """Three profiles, three keys."""
        for site in self.world.sites.values():
            self.world.sign_in(site)

    def make_trust(self) -> None:
        """Identities exported, registered as Remote Spaces on the far side, fingerprints compared, trusts confirmed."""
        source = self.world.brisbane
        shown = {}
        for site in self.world.sites.values():
            site.cli.run("identity", "export", "--out", str(self._identity(site)))
            shown[site.spec.key] = site.cli.run("identity", "show")["fingerprint"]
        for target, road_there, road_here in ((self.world.frankfurt, "call", "answer"), (self.world.vault, "carrier", "carrier")):
            self._trust(source, target, road_here, ("send-releases", "accept-receipts"), shown)
            self._trust(target, source, road_there, ("accept-releases", "send-receipts"), shown)

    def make_environments(self) -> None:
        """Test, Production twice, and one machine in each."""
        for site in self.world.sites.values():
            spec = site.spec
            site.cli.run("environment", "create", spec.environment)
            made = site.cli.run("machine", "register", f"{spec.key}-web", "--role", "web", "--environment", spec.environment)
            run_machine(site.layout, name=f"{spec.key}-web", token=made["token"])
        source = self.world.brisbane.cli
        source.run("environment", "create", "Production", "--trust", "prod")
        source.run("environment", "create", "Production", "--trust", "vault")
        source.run("lifecycle", "create", "Standard", "--phase", "Test=Test", "--phase", "Production=prod,vault")
        for site in (self.world.frankfurt, self.world.vault):
            site.cli.run("lifecycle", "create", "Live", "--phase", "Production=Production")

    def make_project(self) -> None:
        """Two real packages, the step packages, the project with process and values."""
        site = self.world.brisbane
        for archive in sorted(STEP_PACKAGES.glob("*.zip")):
            site.cli.run("step", "install", str(archive))
        for package in (LOCALES, STYLES_OLD):
            self._push(site, package)
        site.cli.run("project", "create", "Storefront", "--lifecycle", "standard")
        process = self.files / "process.json"
        process.write_text(json.dumps(storefront.process(), indent=2))
        for title, name, words in (
            ("Title of the site", "SiteTitle", "Shown on the front page"),
            ("Directory of the site", "SiteRoot", "Absolute path"),
        ):
            site.cli.run("variable", "template", "storefront", name, "--label", title, "--help-text", words)
        site.cli.run("variable", "set", "storefront", storefront.SECRET_NAME, "--type", "secret", "--value-stdin", stdin=self.secret)
        for scope, owner in (("Test", site), ("Prod: Production", self.world.frankfurt), ("Vault: Production", self.world.vault)):
            site.cli.run("variable", "set", "storefront", "SiteUrl", "--value", owner.web_url, "--environment", scope)
        site.cli.run("variable", "set", "storefront", "SiteTitle", "--value", "Storefront under test", "--environment", "Test")
        site.cli.run("variable", "set", "storefront", "SiteRoot", "--value", str(site.target), "--environment", "Test")
        site.cli.run("process", "set", "storefront", str(process))

    def release_to_test(self, version: str, styles: PublicPackage) -> None:
        """A release frozen, signed and deployed to Test."""
        site = self.world.brisbane
        if styles is not STYLES_OLD:
            self._push(site, styles)
        made = site.cli.run("release", "create", "storefront", version, "--notes", f"Storefront with styles {styles.version}")
        self.digests[version] = made["release_sha256"]
        done = site.cli.run("deployment", "start", "storefront", version, "--to", "Test")
        self._claim_deployed(site, version, styles, done)

    def promote_connected(self, version: str, styles: PublicPackage, *, first: bool) -> None:
        """The release crosses over the pull road, is decided, deployed, and its receipt comes home."""
        source, target = self.world.brisbane, self.world.frankfurt
        crossing = Crossing(release=version, target="Prod", road="https pull")
        self.crossings.append(crossing)
        started, wire_before = time.monotonic(), source.wire_bytes()
        source.cli.run("promotion", "start", "storefront", version, "--to", "prod")
        bundle = target.cli.run("inbox", "wait", "Storefront", version)
        crossing.seconds_to_ready, crossing.wire_bytes = time.monotonic() - started, source.wire_bytes() - wire_before
        self._claim_moved(target, version, styles, crossing, first=first)
        self._decide(target, bundle, first=first)
        done = target.cli.run("deployment", "start", "devtest-storefront", version, "--to", "Production")
        self._claim_deployed(target, version, styles, done)
        self._claim_home(crossing, version, "Prod: Production", target, started)
        inward = sum(wire.bytes_there + wire.bytes_back for wire in self._foreign_wires(target))
        self.claims.claim(
            "Brisbane opened no connection into Frankfurt: Prod pulled",
            by_api=(self._road(source, "prod") == "answer", f"the trust's road at DevTest is {self._road(source, 'prod')!r}"),
            independently=(inward == 0, f"{inward} bytes passed the wire before Frankfurt's API"),
        )

    def first_by_carrier(self, version: str, styles: PublicPackage) -> None:
        """The release crosses as one file with everything in it; what comes back says what the Vault holds now."""
        target = self.world.vault
        held = [package for package in (LOCALES, styles) if evidence.stored_object(target.layout, package.sha256)]
        listed = target.cli.run("package", "list")
        self.claims.claim(
            "the Vault held none of the packages before",
            by_api=(not listed, f"{len(listed)} packages listed"),
            independently=(not held, f"{len(held)} of 2 digests on its disk"),
        )
        crossing, bundle, verified, started = self._carry_there(version)
        digests_right = all(evidence.stored_and_right(target.layout, package.sha256) for package in (LOCALES, styles))
        self.claims.claim(
            f"release {version} reached the Vault in one file with every package",
            by_api=(bundle["release_sha256"] == self.digests[version], f"release {bundle['release_sha256'][:16]}… in the inbox"),
            independently=(
                verified == 0 and digests_right,
                f"{crossing.carrier_bytes} bytes carried, verified offline; packages re-hashed on the Vault's disk",
            ),
        )
        self._carry_home(version)
        self._note_cost(crossing, version)
        crossing.state, crossing.seconds = self._promotion(version, "Vault")["state"], time.monotonic() - started

    def promote_by_carrier(self, version: str, styles: PublicPackage) -> None:
        """The next release crosses as a file with one delta, is deployed, and the receipt comes back as another file."""
        target = self.world.vault
        crossing, bundle, verified, started = self._carry_there(version)
        self._note_cost(crossing, version)
        whole = self._packages[styles].stat().st_size
        found = next((one for one in crossing.packages if one["name"] == f"{styles.package_id} {styles.version}"), None)
        small = crossing.carrier_bytes is not None and crossing.carrier_bytes * 2 < whole
        digests_right = all(evidence.stored_and_right(target.layout, package.sha256) for package in (LOCALES, styles))
        self.claims.claim(
            f"the new package of {version} reached the Vault as a delta, the unchanged one stayed at home",
            by_api=(
                bundle["release_sha256"] == self.digests[version] and found is not None and found["how"] == "delta",
                found["words"] if found else "not counted",
            ),
            independently=(
                verified == 0 and small and digests_right,
                f"{crossing.carrier_bytes} bytes carried, the new package has {whole}; packages re-hashed on the Vault's disk",
            ),
        )
        self._decide(target, bundle, first=True)
        done = target.cli.run("deployment", "start", "devtest-storefront", version, "--to", "Production")
        self._claim_deployed(target, version, styles, done)
        self._carry_home(version)
        self._claim_home(crossing, version, "Vault: Production", target, started)

    def search_secret(self) -> None:
        """The planted secret in raw, hexadecimal and base64 form: nowhere but in the deployed targets."""
        roots = [self.world.directory / "sites", self.files, self.world.directory / "cli"]
        found = evidence.search_files(roots, self.secret) + evidence.search_processes(self.secret)
        files, size = evidence.count_files(roots)
        planted = [site for site in self.world.sites.values() if self.secret in (site.target / storefront.SECRET_FILE).read_text()]
        for sighting in found:
            self._say(f"      seen: {sighting.form} in {sighting.where}")
        shown = [site.cli.run("variable", "list", project) for site, project in self._projects()]
        leaked = sum(self.secret in json.dumps(rows) for rows in shown)
        self.claims.claim(
            "the planted secret is in the three deployed targets and nowhere else",
            by_api=(leaked == 0, f"{leaked} of {len(shown)} variable lists show it"),
            independently=(
                not found and len(planted) == len(self.world.sites),
                f"0 hits wanted, {len(found)} found in {files} files ({size} bytes) and all processes",
            ),
        )

    def _carry_there(self, version: str) -> tuple[Crossing, dict[str, Any], int, float]:
        """The release is in the Vault's inbox; returns the crossing, the bundle, the exit code of the offline check, and when it began."""
        source, target = self.world.brisbane, self.world.vault
        crossing = Crossing(release=version, target="Vault", road="carrier")
        self.crossings.append(crossing)
        started = time.monotonic()
        source.cli.run("promotion", "start", "storefront", version, "--to", "vault")
        carried = self.files / f"to-vault-{version}.wbc"
        source.cli.run("carrier", "export", "--trust", "vault", "--out", str(carried))
        verified = source.cli.exit_code("bundle", "verify", str(carried), "--identity", str(self._identity(source)))
        crossing.carrier_bytes = carried.stat().st_size
        brought = shutil.copy(carried, self.files / f"brought-to-vault-{version}.wbc")
        target.cli.run("carrier", "import", str(brought))
        bundle = target.cli.run("inbox", "wait", "Storefront", version)
        crossing.seconds_to_ready = time.monotonic() - started
        return crossing, bundle, verified, started

    def _carry_home(self, version: str) -> None:
        """The Vault's receipts and inventory are at the source."""
        back = self.files / f"from-vault-{version}.wbc"
        self.world.vault.cli.run("carrier", "export", "--trust", "devtest", "--out", str(back))
        self.world.brisbane.cli.run("carrier", "import", str(back))

    def _await_ready(self, version: str, trust: str) -> None:
        """The source knows that every package is there: until then it cannot tell what did not have to move."""
        deadline = time.monotonic() + 30
        while self._promotion(version, trust)["state"] in ("sealed", "in_transit", "received") and time.monotonic() < deadline:
            time.sleep(0.5)

    def _note_cost(self, crossing: Crossing, version: str) -> None:
        """What the promotion says that its packages cost, each and together."""
        listed = self._promotion(version, crossing.target)
        shown = self.world.brisbane.cli.run("promotion", "show", listed["id"])
        crossing.package_bytes, crossing.sent_bytes, crossing.saved_bytes = (
            shown["bytes_packages"],
            shown["bytes_sent"],
            shown["bytes_saved"],
        )
        crossing.packages = [{key: one[key] for key in ("name", "how", "words", "bytes_sent", "bytes_saved")} for one in shown["packages"]]
        for one in crossing.packages:
            self._say(f"      {one['name']}: {one['words']}")

    def _projects(self) -> list[tuple[DemoSite, str]]:
        return [(self.world.brisbane, "storefront"), (self.world.frankfurt, "devtest-storefront"), (self.world.vault, "devtest-storefront")]

    def _chapter(self, title: str, tell: Any) -> None:
        started = time.monotonic()
        self._say(f"\n== {title}")
        tell()
        self._say(f"   ({time.monotonic() - started:.1f} s)")

    def _identity(self, site: DemoSite) -> Path:
        return self.files / f"{site.spec.slug}.identity.json"

    def _trust(self, here: DemoSite, there: DemoSite, road: str, grants: tuple[str, ...], shown: dict[str, str]) -> None:
        options = [option for grant in grants for option in ("--grant", grant)]
        name = there.spec.space
        here.cli.run("trust", "register", str(self._identity(there)), "--name", name, "--road", road, *options)
        here.cli.run("trust", "confirm", name.lower(), "--fingerprint", shown[there.spec.key])

    def _push(self, site: DemoSite, package: PublicPackage) -> None:
        site.cli.run(
            "package",
            "push",
            str(self._packages[package]),
            "--id",
            package.package_id,
            "--version",
            package.version,
            "--media-type",
            package.media_type,
        )

    def _decide(self, target: DemoSite, bundle: dict[str, Any], *, first: bool) -> None:
        """The import waits, shows what is missing, gets it, is approved."""
        preview = target.cli.run("inbox", "preview", bundle["id"])
        missing = [row["name"] for row in preview["templates"] if row["state"] == "missing" and row["mandatory"]]
        if first:
            self._say(f"      waiting for a decision; missing: {', '.join(missing) or 'nothing'}")
            values = {"SiteTitle": TITLES[target.spec.key], "SiteRoot": str(target.target)}
            for name in missing:
                target.cli.run("inbox", "answer", bundle["id"], name, "--environment", target.spec.environment, "--value", values[name])
            preview = target.cli.run("inbox", "preview", bundle["id"])
        else:
            changed = [row["package_id"] for row in preview["packages"] if row["change"] != "unchanged"]
            same = [row["package_id"] for row in preview["packages"] if row["change"] == "unchanged"]
            self.claims.claim(
                "only what changed is reviewed",
                by_api=(
                    preview["only_changes"] and not missing,
                    f"changed: {', '.join(changed)}; unchanged: {', '.join(same)}; asked for again: {len(missing)}",
                ),
                independently=(
                    STYLES_OLD.sha256 != STYLES_NEW.sha256 and changed == [STYLES_NEW.package_id],
                    "the digests of the public files differ for that one only",
                ),
            )
        target.cli.run("inbox", "approve", bundle["id"], "--preview", preview["sha256"], "--lifecycle", "live")

    def _claim_deployed(self, site: DemoSite, version: str, styles: PublicPackage, done: dict[str, Any]) -> None:
        wrong = evidence.missing_or_different(self._packages[styles], site.target / "styles", strip="package/")
        wrong += evidence.missing_or_different(self._packages[LOCALES], site.target / "locales")
        count = len(evidence.package_members(self._packages[styles])) + len(evidence.package_members(self._packages[LOCALES]))
        self.claims.claim(
            f"release {version} runs in {site.spec.space}: {site.spec.environment}",
            by_api=(done["state"] == "succeeded", f"deployment {done['state']}"),
            independently=(not wrong, f"{count - len(wrong)} of {count} package members found deployed with equal SHA-256"),
        )

    def _claim_moved(self, target: DemoSite, version: str, styles: PublicPackage, crossing: Crossing, *, first: bool) -> None:
        self._await_ready(version, crossing.target)
        self._note_cost(crossing, version)
        whole = self._packages[styles].stat().st_size
        how = {one["name"]: one["how"] for one in crossing.packages}.get(f"{styles.package_id} {styles.version}")
        stored = all(evidence.stored_and_right(target.layout, package.sha256) for package in (LOCALES, styles))
        unchanged = self._packages[LOCALES].stat().st_size
        fits = crossing.wire_bytes is not None and (first or crossing.wire_bytes < min(unchanged, whole // 2))
        self.claims.claim(
            f"the packages of {version} are in Frankfurt"
            + ("" if first else "; the unchanged one moved zero bytes, the new one crossed as a delta"),
            by_api=(
                how == ("whole" if first else "delta") and (first or crossing.saved_bytes >= unchanged),
                f"{crossing.sent_bytes} bytes sent, {crossing.saved_bytes} saved; the new one: {how}",
            ),
            independently=(
                stored and fits,
                f"re-hashed on its disk; {crossing.wire_bytes} bytes crossed the wire (TLS and messages included)",
            ),
        )

    def _claim_home(self, crossing: Crossing, version: str, column: str, target: DemoSite, started: float) -> None:
        source = self.world.brisbane
        cell = self._await_cell(column, version)
        promotion = self._promotion(version, crossing.target)
        crossing.state, crossing.seconds = promotion["state"], time.monotonic() - started
        received = [row for row in source.cli.run("receipt", "list") if row["promotion_id"] == promotion["id"]]
        crossing.receipts = [row["event"] for row in reversed(received)]
        last = next(row for row in received if row["event"] == "succeeded")
        envelope = self.files / f"receipt-{version}-{target.spec.slug}.json"
        source.cli.run("receipt", "show", last["id"], "--out", str(envelope))
        signed = evidence.receipt_is_signed_by(envelope, self._identity(target), release_sha256=self.digests[version])
        self.claims.claim(
            f"the signed receipt is home: {column} = {cell['release_version']}, {cell['state']}",
            by_api=(
                cell["release_version"] == version and cell["state"] == "succeeded",
                f"happened {cell['happened_at']}, learned {cell['learned_at']}",
            ),
            independently=signed,
        )

    def _await_cell(self, column: str, version: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while True:
            shown = self.world.brisbane.cli.run("dashboard")
            ids = {entry["name"]: entry["id"] for entry in shown["columns"]}
            row = next(entry for entry in shown["rows"] if entry["slug"] == "storefront")
            cell = next((entry for entry in row["cells"] if entry["column_id"] == ids[column]), None)
            if (cell and cell["release_version"] == version and cell["state"] == "succeeded") or time.monotonic() > deadline:
                return cell or {"release_version": "-", "state": "unknown", "happened_at": "-", "learned_at": "-"}
            time.sleep(0.5)

    def _promotion(self, version: str, trust: str) -> dict[str, Any]:
        rows = self.world.brisbane.cli.run("promotion", "list")
        return next(row for row in rows if row["release_version"] == version and row["trust_name"] == trust)

    def _road(self, site: DemoSite, trust: str) -> str:
        return str(site.cli.run("trust", "show", trust)["road"])

    def _foreign_wires(self, target: DemoSite) -> list[Any]:
        return [target.wires["api"]]
