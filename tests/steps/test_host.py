# SPDX-License-Identifier: Apache-2.0
"""The host keeps its promises to everybody around a step, whatever the step does."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from adapters.node_host import Listener, NodeHost
from tests.steps.conftest import STEPS, Bench
from tests.steps.packing import make_step
from waybill.domain.deployments import RunState
from waybill.domain.ids import JsonValue
from waybill.domain.steps import StepLine, order_to_json
from waybill.errors import UnavailableError

SECRET = "s3cr3t/'val\"ue+&<"

_LOAD_FAILED = "StepPackage-Load-Failed: The step package could not be loaded"
_PRINT_SLOWLY = """
const secret = inputs.secret, forms = [
  secret, JSON.stringify(secret), encodeURIComponent(secret), Buffer.from(secret).toString("hex"), Buffer.from(secret).toString("hex").toUpperCase(),
  ...["", "u", "us", "use"].flatMap((head) => [Buffer.from(head + secret + ":x").toString("base64"), Buffer.from(head + secret).toString("base64url")]),
  "'" + secret.replace(/'/g, "'\\\\''") + "'", secret.replace(/&/g, "&amp;").replace(/</g, "&lt;"),
  (Buffer.from("x".repeat(50) + secret + "y".repeat(9)).toString("base64").match(/.{1,76}/g) ?? []).join("\\n"),
];
for (const [at, form] of forms.entries()) {
  for (const byte of Buffer.from(`<${at}> ` + form + "\\n" + form + "\\n")) require("node:fs").writeSync(at % 2 ? 1 : 2, Buffer.from([byte]));
}
for (const form of forms) context.print(form);
context.setOutput("shown", "it is " + secret);
context.setOutput("hidden", "other-secret", { sensitive: true });
context.print("other-secret");
throw new Error("broke at " + secret);
"""


async def test_a_secret_is_masked_in_every_form_and_on_every_way_out(bench: Bench) -> None:
    """Byte by byte on stdout and stderr, in log frames, outputs and the error: no form of the secret comes out."""
    ran = await bench.run(bench.order(make_step(_PRINT_SLOWLY), {"secret": SECRET}, masks=(SECRET,)))
    everything = ran.text + repr(ran.outcome)
    for form in (SECRET, SECRET.encode().hex(), "s3cr3t", "other-secret", "czNjcjN0", "ZWNyM3Qv", "NlY3IzdC"):
        assert form.lower() not in everything.lower(), form
    assert everything.count("********") >= 26
    assert (ran.outcome.state, ran.outcome.code, ran.outcome.message) == (RunState.ERRORED, "step.errored", "broke at ********")
    assert ran.outcome.outputs == {}
    assert ran.outcome.secret_output_names == ("hidden", "shown")
    assert {line.stream for line in ran.lines} == {"stdout", "stderr", None}


async def test_a_mask_of_the_step_holds_for_what_comes_after_its_acknowledgement(bench: Bench) -> None:
    """``await context.mask(x)`` then printing x to the raw stdout shows no x."""
    step = make_step("await context.mask('made-up-token'); console.log('made-up-token'); context.updateProgress(140, 'made-up-token');")
    ran = await bench.run(bench.order(step))
    assert ran.outcome.state is RunState.SUCCEEDED
    assert ran.at("info") == ["********"]
    assert ran.progress == [(100.0, "********")]


async def test_the_step_sees_only_what_it_was_given(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """stdin is empty, the environment is named entries only, home and temporary folder are the private working directory."""
    monkeypatch.setenv("WAYBILL_LEAK", "leaked")
    monkeypatch.setenv("NODE_OPTIONS", "--no-warnings")
    step = make_step(
        """
        const fs = require("node:fs"), mode = (fs.statSync(".").mode & 0o777).toString(8);
        context.setOutput("stdin", String(fs.readFileSync(0).length));
        context.setOutput("names", Object.keys(process.env).sort().join(" "));
        const here = process.cwd();
        context.setOutput("private", [process.env.HOME === here, process.env.TMPDIR === here, context.workdir === here, mode].join(" "));
        context.setOutput("core", fs.readFileSync("/proc/self/limits", "utf8").match(/Max core file size\\s+(\\d+)/)[1]);
        context.setOutput("argv", process.argv.length + fs.readFileSync("/proc/self/cmdline", "utf8"));
        """
    )
    ran = await bench.run(bench.order(step, {"secret": SECRET}))
    assert ran.outcome.state is RunState.SUCCEEDED, ran.text
    outputs = ran.outcome.outputs
    assert outputs["stdin"] == "0"
    assert outputs["names"] == "AWS_EC2_METADATA_DISABLED HOME LANG PATH TMPDIR"
    assert outputs["private"] == "true true true 700"
    assert outputs["core"] == "0"
    assert SECRET not in str(outputs["argv"])


async def test_a_child_of_the_step_inherits_no_private_pipe(bench: Bench) -> None:
    """A child started with inherited stdio has descriptors 0 to 2 only, however many the worker has open."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(40)]
    for descriptor in held:
        os.set_inheritable(descriptor, True)
    step = make_step("require('node:child_process').execSync('ls /proc/$$/fd; cat', { stdio: 'inherit', shell: '/bin/sh' });")
    try:
        ran = await bench.run(bench.order(step))
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert ran.outcome.state is RunState.SUCCEEDED
    assert ran.at("info") == ["0", "1", "2"]


async def test_frames_on_stdout_are_only_text(bench: Bench) -> None:
    """What looks like a terminal frame, an output or a mask on stdout or stderr changes nothing."""
    step = make_step(
        """
        for (const t of ["done", "output", "mask"]) console.log(JSON.stringify({ t, v: 1, status: "failed", name: "x", value: "y", seq: 1 }));
        console.error("##octopus[setVariable name='eA==' value='eQ==']\\n::set-output name=x::y");
        """
    )
    ran = await bench.run(bench.order(step))
    assert ran.outcome.state is RunState.SUCCEEDED
    assert ran.outcome.outputs == {}
    assert len(ran.lines) == 5


async def test_garbage_on_the_private_pipe_is_counted_and_then_ends_the_step(bench: Bench) -> None:
    """A few wrong lines warn once and are ignored; a hundred end the process as errored."""
    few = 'for (let at = 0; at < 20; at++) require(\'node:fs\').writeSync(4, \'{"t":"done","n":"guessed","status":"failed"}\\n\');'
    ran = await bench.run(bench.order(make_step(few)))
    assert ran.outcome.state is RunState.SUCCEEDED
    assert len(ran.at("warning")) == 1
    many = "for (;;) require('node:fs').writeSync(4, 'garbage\\n');"
    ran = await bench.run(bench.order(make_step(many)))
    assert (ran.outcome.state, ran.outcome.code) == (RunState.ERRORED, "step.protocol_invalid")


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("process.exit(3)", "exit 3"),
        ("process.exit(0)", "exit 0"),
        ("process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})", "signal 9"),
        ("await new Promise(() => {})", "exit 0"),
        ("process.abort()", "signal 6"),
    ],
)
async def test_a_process_that_ends_without_a_result_is_errored(bench: Bench, body: str, how: str) -> None:
    """Exit, signal, and a promise that never settles: all say that there is no result, and how it ended."""
    ran = await bench.run(bench.order(make_step(body)))
    assert (ran.outcome.state, ran.outcome.code) == (RunState.ERRORED, "step.no_result")
    assert ran.outcome.message == f"Step process ended without a result ({how})"


@pytest.mark.parametrize(
    ("body", "state", "code", "message"),
    [
        ("context.failStep('no good', { code: 'Tried-Area-Bad' })", RunState.FAILED, "step.failed", "Tried-Area-Bad: no good"),
        ("throw new Error('oops')", RunState.ERRORED, "step.errored", "oops"),
        ("setTimeout(() => { throw new Error('late') }, 1); await new Promise(() => {})", RunState.ERRORED, "step.errored", "late"),
        ("Promise.reject(new Error('lost')); await new Promise((go) => setTimeout(go, 5000))", RunState.ERRORED, "step.errored", "lost"),
        ("require('not-there')", RunState.ERRORED, "step.errored", None),
        ("}; throw new Error('early'); () => {", RunState.ERRORED, "step.errored", f"{_LOAD_FAILED}: early"),
        ("context.setOutput('x', 'y'.repeat(200000))", RunState.FAILED, "step.failed", None),
        ("return { answer: '42' }", RunState.SUCCEEDED, None, None),
    ],
)  # fmt: skip
async def test_how_a_step_ends_decides_the_outcome(bench: Bench, body: str, state: RunState, code: str | None, message: str | None) -> None:
    """The step said no: failed. The step broke: errored, with the stack at verbose. It returned: succeeded."""
    ran = await bench.run(bench.order(make_step(body)))
    assert (ran.outcome.state, ran.outcome.code) == (state, code), ran.outcome
    if message is not None:
        assert ran.outcome.message == message
    assert bool(ran.at("verbose")) == (state is RunState.ERRORED)


async def test_a_step_that_is_done_may_not_linger(bench: Bench) -> None:
    """An open handle after the result costs a warning, not the result."""
    ran = await bench.run(bench.order(make_step("setInterval(() => {}, 1000); return { done: 'yes' };")))
    assert ran.outcome.state is RunState.SUCCEEDED
    assert ran.outcome.outputs == {"done": "yes"}
    assert ran.at("warning") == ["The step is done but its process stays open; it is ended now"]


async def test_a_step_out_of_time_fails(bench: Bench) -> None:
    """A busy loop that hears nothing is ended by force and reported as a timeout."""
    ran = await bench.run(bench.order(make_step("for (;;);"), timeout_s=1))
    assert (ran.outcome.state, ran.outcome.code) == (RunState.FAILED, "step.timeout")


async def test_a_step_that_listens_ends_by_itself_when_cancelled(bench: Bench) -> None:
    """The abort signal reaches the step within the grace, and what it says then is kept."""
    cancelled = asyncio.Event()
    step = make_step(
        """
        const alive = setInterval(() => {}, 1e6);
        context.print('ready');
        await new Promise((go) => context.signal.addEventListener('abort', go));
        context.print('tidied');
        clearInterval(alive);
        """
    )
    ran = await bench.run(
        bench.order(step), cancelled=cancelled, on_line=lambda line: cancelled.set() if line.message == "ready" else None, grace_s=30
    )
    assert (ran.outcome.state, ran.outcome.code) == (RunState.CANCELLED, "step.cancelled")
    assert ran.at("info") == ["ready", "tidied"]


_TREE = """
const { spawn } = require("node:child_process");
process.on("SIGTERM", () => {});
const script = "trap '' TERM; setsid sh -c 'trap \\"\\" TERM; echo grandchild $$; sleep 1000' & echo child $$; sleep 1000";
spawn("sh", ["-c", script], { stdio: "inherit", detached: true });
await new Promise(() => setInterval(() => {}, 1000));
"""


async def test_cancelling_ends_the_whole_tree(bench: Bench) -> None:
    """Child and setsid grandchild, all deaf to SIGTERM and in sessions of their own, are gone before the outcome is told."""
    cancelled, pids = asyncio.Event(), dict[str, int]()

    def on_line(line: StepLine) -> None:
        name, _, number = line.message.partition(" ")
        if name in ("child", "grandchild"):
            pids[name] = int(number)
        if len(pids) == 2:
            cancelled.set()

    ran = await bench.run(bench.order(make_step(_TREE)), cancelled=cancelled, on_line=on_line, grace_s=0.3, kill_after_s=0.3)
    assert (ran.outcome.state, ran.outcome.code) == (RunState.CANCELLED, "step.cancelled")
    assert set(pids) == {"child", "grandchild"}
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


async def test_what_a_step_leaves_running_ends_with_it(bench: Bench) -> None:
    """A daemon started by a step that succeeds is gone when the outcome is told."""
    step = make_step(
        """
        const child = require('node:child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'inherit' });
        child.unref();
        return { pid: String(child.pid) };
        """
    )
    ran = await bench.run(bench.order(step))
    assert ran.outcome.state is RunState.SUCCEEDED
    assert not psutil.pid_exists(int(str(ran.outcome.outputs["pid"])))


async def test_a_run_whose_task_is_cancelled_leaves_nothing(bench: Bench) -> None:
    """When the activity itself is torn down, process and directory are gone before the cancellation goes on."""
    started, pids = asyncio.Event(), list[int]()

    def on_line(line: StepLine) -> None:
        pids.append(int(line.message))
        started.set()

    order = bench.order(make_step("console.log(process.pid); setInterval(() => {}, 1e6); await new Promise(() => {})"))
    task = asyncio.ensure_future(bench.run(order, on_line=on_line))
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pids[0])
    assert list(bench.settings.work_directory.iterdir()) == []


async def test_a_killed_worker_takes_its_steps_with_it(bench: Bench, tmp_path: Path) -> None:
    """After SIGKILL of the worker neither the step, which hears nothing, nor its setsid grandchild goes on."""
    order = tmp_path / "order.json"
    deaf = _TREE.replace("await new Promise(() => setInterval(() => {}, 1000));", "for (;;);")
    assert deaf != _TREE
    order.write_text(json.dumps(order_to_json(bench.order(make_step(deaf)))))
    command = [sys.executable, "-m", "tests.steps.lone_worker", str(order), str(bench.settings.bootstrapper), str(tmp_path / "lone")]
    worker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=STEPS.parent)
    assert worker.stdout is not None
    pids = [int((await asyncio.wait_for(worker.stdout.readline(), 30)).split()[1]) for _ in range(2)]
    tree = [psutil.Process(pid) for pid in pids]
    worker.kill()
    await worker.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, tree, 10)
    assert alive == []


async def test_huge_output_is_bounded_and_the_step_not_slowed_to_death(bench: Bench) -> None:
    """200,000 lines and one endless line: the log stops at its limit with one warning, and the result still comes."""
    step = make_step(
        """
        for (let at = 0; at < 200000; at++) console.log('line ' + at);
        process.stdout.write('x'.repeat(5e6) + '\\n');
        context.print('y'.repeat(5e6));
        return { all: 'written' };
        """
    )
    ran = await bench.run(bench.order(step), max_log_bytes=1_000_000)
    assert ran.outcome.outputs == {"all": "written"}
    assert sum(len(line.message) for line in ran.lines) < 1_100_000
    assert ran.at("warning") == ["The log of this step is full; what comes after is not kept"]


async def test_nothing_printed_before_an_abrupt_exit_is_lost(bench: Bench) -> None:
    """A burst into the pipe and process.exit() right after it: every line arrives."""
    ran = await bench.run(bench.order(make_step("for (let at = 0; at < 20000; at++) console.log('line ' + at); process.exit(1);")))
    assert len(ran.at("info")) == 20_000
    assert ran.at("info")[-1] == "line 19999"


async def test_an_endless_line_is_cut_where_it_is_too_long(bench: Bench) -> None:
    """A line over 32 KiB ends with a note of how much is missing."""
    ran = await bench.run(bench.order(make_step("console.log('z'.repeat(40000))")))
    (line,) = ran.at("info")
    assert line.endswith("…[truncated 7232 characters]")
    assert len(line) < 33_000


async def test_wrong_bytes_of_a_step_package_never_run(bench: Bench) -> None:
    """A zip with another digest, an unreachable store, and inputs that do not fit end as errored with their own codes."""
    order = bench.order(make_step("return { ran: 'yes' }"))
    bench.store.blobs[order.package_sha256] = b"x" * order.package_size
    assert (await bench.run(order)).outcome.code == "package.hash_mismatch"
    bench.store.blobs[order.package_sha256] = b"x" * (order.package_size + 1)
    assert (await bench.run(order)).outcome.code == "package.size_exceeded"
    del bench.store.blobs[order.package_sha256]
    assert (await bench.run(order)).outcome.code == "store.unavailable"
    other = bench.order(
        make_step("return {}", schema={"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}), {"a": "x"}
    )
    assert (await bench.run(other)).outcome.code == "process.invalid"
    renamed = replace(bench.order(make_step("return { ran: 'yes' }")), package_id="other")
    assert (await bench.run(renamed)).outcome.code == "step.package_invalid"


async def test_a_machine_that_cannot_run_says_so_in_the_outcome(bench: Bench) -> None:
    """A work directory that is gone is an errored outcome, no exception; an old package takes its version from its file name."""
    order = bench.order(make_step("return { ran: 'yes' }"))
    host = NodeHost(bench.settings, bench.cache)
    bench.settings.work_directory.rmdir()
    outcome = await host.run(order, listener=Listener(on_line=lambda _: None), cancelled=asyncio.Event())
    assert (outcome.state, outcome.code, outcome.message) == (
        RunState.ERRORED, "step.errored", "The machine could not run the step: No such file or directory",
    )  # fmt: skip
    old = make_step("return { ran: context.print.name }", metadata={"version": None})
    ran = await bench.run(
        replace(order, package_sha256=(digest := bench.store.put(old)), package_size=len(old), package_url=f"{bench.store.url}/{digest}")
    )
    assert ran.outcome.state is RunState.SUCCEEDED


async def test_inputs_take_the_type_of_the_schema(bench: Bench) -> None:
    """A bound text that became digits reaches the step as a number."""
    schema: dict[str, JsonValue] = {"type": "object", "properties": {"port": {"type": "integer"}, "on": {"type": "boolean"}}}
    ran = await bench.run(
        bench.order(make_step("return { kinds: typeof inputs.port + typeof inputs.on }", schema=schema), {"port": "8080", "on": "True"})
    )
    assert ran.outcome.outputs == {"kinds": "numberboolean"}


async def test_a_host_without_node_says_so(bench: Bench) -> None:
    """``check`` names the version that works and refuses what does not start."""
    assert (await NodeHost(bench.settings, bench.cache).check()).startswith("v2")
    with pytest.raises(UnavailableError) as refused:
        await NodeHost(replace(bench.settings, node=Path("/nonexistent/node")), bench.cache).check()
    assert refused.value.code == "node.unavailable"
    with pytest.raises(ValueError, match="AWS_SECRET"):
        NodeHost(replace(bench.settings, environment={"AWS_SECRET_ACCESS_KEY": "x"}), bench.cache)


async def test_what_a_killed_worker_left_is_swept(bench: Bench) -> None:
    """Directories of earlier runs are gone, also those that a step made unreadable."""
    left = bench.settings.work_directory / "run-old"
    (left / "locked").mkdir(parents=True)
    (left / "locked").chmod(0)
    NodeHost(bench.settings, bench.cache).sweep()
    assert list(bench.settings.work_directory.iterdir()) == []
