# SPDX-License-Identifier: Apache-2.0
"""The small parent of one step process. A program of its own: standard library only, started by file, never imported by the worker's parts.

It makes itself the *subreaper* of everything below it, so that a grandchild that left the process group by ``setsid`` still comes back to it,
and ends all of them: when told so, when the step process has ended, and when the worker has died (the control pipe then closes).
It reads nothing of the frames and holds no secret.

Control pipe: ``T`` asks every process to end, ``K`` ends them. Status pipe: one JSON line when the step started, ended, and when nothing is left.
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FIRST_FREE = 20
_SWEEP_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Runs ``arguments[6:]`` with its protocol pipes on descriptors 3 and 4; returns 0 when the whole tree is gone.

    Args:
        arguments: descriptors of the protocol's in, out, control and status pipes, the limit of data memory in bytes (0 for none),
            ``--``, then the command.
    """
    to_step, from_step, control, status = (int(each) for each in arguments[:4])
    for descriptor in (control, status):
        os.set_inheritable(descriptor, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, _note)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # whoever ends the worker politely ends us through the control pipe
    child = os.fork()
    if child == 0:
        _become(arguments[6:], to_step, from_step, int(arguments[4]))
    _let_go(to_step, from_step)
    _tell(status, {"event": "started", "pid": child})
    code = _watch(child, control, wake_read)
    _tell(status, {"event": "ended", "exit": os.waitstatus_to_exitcode(code)})
    gone = _sweep(child)
    _tell(status, {"event": "swept", "complete": gone})
    return 0 if gone else 1


def _become(command: list[str], to_step: int, from_step: int, data_limit: int) -> None:
    """The forked child turns into the step process; never returns."""
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for each in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(each, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        _place(to_step, from_step)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if data_limit:
            resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))
        os.execve(command[0], command, {**os.environ, "STEP_PROTOCOL_IN": "3", "STEP_PROTOCOL_OUT": "4"})  # noqa: S606 - no shell is meant
    except BaseException as error:
        os.write(2, f"the step process cannot be started: {error}\n".encode())
    finally:
        os._exit(127)


def _place(to_step: int, from_step: int) -> None:
    """The two pipes become 3 and 4, whatever numbers they had: Node keeps low descriptors from its children, and only those."""
    lifted = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for each in (to_step, from_step)]
    os.dup2(lifted[0], 3)
    os.dup2(lifted[1], 4)
    os.closerange(5, 4096)


def _let_go(*descriptors: int) -> None:
    """This process keeps none of the step's pipes open, so that their ends are seen."""
    for descriptor in descriptors:
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _watch(child: int, control: int, wake: int) -> int:
    """The wait status of ``child``, once it has ended; obeys the control pipe until then and reaps whoever else comes back."""
    open_ends = [control, wake]
    while True:
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid == child:
                return code
            if pid == 0:
                break
        ready, _, _ = select.select(open_ends, [], [], None)
        if wake in ready:
            os.read(wake, 4096)
        if control in ready:
            orders = os.read(control, 64)
            if not orders or b"K" in orders:
                _signal_tree(child, signal.SIGKILL)
            elif b"T" in orders:
                _signal_tree(child, signal.SIGTERM)
            if not orders:
                open_ends = [wake]


def _sweep(child: int) -> bool:
    """True when no process of the tree is left; they get no grace, since the step itself has ended."""
    until = time.monotonic() + _SWEEP_SECONDS
    while time.monotonic() < until:
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return True
        _signal_tree(child, signal.SIGKILL)
        time.sleep(0.01)
    return False


def _signal_tree(child: int, number: int) -> None:
    """Everything below this process gets the signal; ``child`` has not been reaped, or there is no /proc to find the others by."""
    below = _descendants()
    if not below and not os.path.isdir("/proc/self"):
        try:
            os.killpg(child, number)
        except (ProcessLookupError, PermissionError):
            pass
    for pid in below:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _descendants() -> list[int]:
    """Every process below this one, by the parents that /proc tells; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, queue = [], [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _prctl(option: int, value: int) -> None:
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (AttributeError, OSError):
        pass  # not Linux: the process group is then all that is ended


def _tell(status: int, line: dict[str, object]) -> None:
    try:
        os.write(status, json.dumps(line).encode() + b"\n")
    except OSError:
        pass  # the worker is gone; what remains to be done is the same


def _note(_number: int, _frame: object) -> None:
    """Only wakes the loop."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
