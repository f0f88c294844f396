"""What a process gives up before it parses what strangers send.

Resource limits always. Landlock (``landlock(7)``) takes away every file but the program's own and
every TCP connection; seccomp (``seccomp(2)``) takes away sockets, other programs, new processes and
whatever looks into other processes. Both last until the process ends. A kernel that has neither
leaves the resource limits, an empty environment, and a process that holds no secret; what is in
force shows in ``chopmark doctor``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import sys
import sysconfig
from pathlib import Path
from typing import Final

__all__ = ["allowed_memory", "confine", "die_with_parent", "prepare"]

_PR_SET_PDEATHSIG: Final = 1
_CLONE_THREAD: Final = 0x00010000
#: What no parser needs. Threads stay possible: the C2PA library may want some.
_DENIED: Final = (
    "socket", "connect", "bind", "listen", "accept", "accept4", "execve", "execveat", "fork",
    "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "kill", "tkill", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "mount", "umount2", "unshare", "setns", "chroot",
    "pivot_root", "bpf", "perf_event_open", "keyctl", "add_key", "request_key", "io_uring_setup",
    "userfaultfd", "open_by_handle_at", "init_module", "finit_module", "kexec_load", "reboot",
    "setuid", "setgid", "setresuid", "setresgid", "capset",
)  # fmt: skip


def confine(*, most_file_mb: int) -> tuple[str, ...]:
    """Give up what a parser needs not; there is no way back.

    Args:
        most_file_mb: Largest answer in shared memory, in MiB.

    Returns:
        What is in force, out of ``rlimits``, ``landlock`` and ``seccomp``.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = most_file_mb << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write that is too large is an OSError
    held = ["rlimits"]
    if sys.platform == "linux":
        if _landlock():
            held.append("landlock")
        if _seccomp():
            held.append("seccomp")
    return tuple(held)


def prepare() -> None:
    """Load what :func:`confine` needs: finding a library starts a program, which it forbids."""
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        import pyseccomp  # noqa: F401


def allowed_memory(statm: int, megabytes: int) -> None:
    """Let this process take so much more private memory than it has now.

    Args:
        statm: An open ``/proc/self/statm``: once confined, nothing can be opened.
        megabytes: MiB.
    """
    # The sixth figure is data and stack in pages, which is what RLIMIT_DATA counts (proc(5)).
    now = int(os.pread(statm, 256, 0).split()[5]) * resource.getpagesize()
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (now + (megabytes << 20), hard))


def die_with_parent() -> None:
    """Have the kernel end this process when the one that forked it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _landlock() -> bool:
    try:
        import landlockpy
    except ImportError:
        return False
    if not landlockpy.supported():
        return False
    access = landlockpy.AccessFS
    with landlockpy.Ruleset() as rules:
        for folder in _code_folders():
            rules.allow_path(str(folder), access.READ_FILE | access.READ_DIR | access.EXECUTE)
        rules.restrict()
    return True


def _code_folders() -> list[Path]:
    """Return where the program itself lies: a module that is imported late is still found."""
    named = [*sys.path, *sysconfig.get_paths().values(), "/usr/lib", "/lib", "/lib64"]
    folders = {Path(name).resolve() for name in named if name}
    return sorted(folder for folder in folders if folder.is_dir() and folder != Path("/"))


def _seccomp() -> bool:
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):  # the wrapper or libseccomp itself is missing
        return False
    rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    refused = pyseccomp.ERRNO(errno.EPERM)
    for name in _DENIED:
        # A system call that this architecture or this libseccomp does not know needs no rule.
        with contextlib.suppress(ValueError, OSError):
            rules.add_rule(refused, name)
    with contextlib.suppress(ValueError, OSError):
        # glibc falls back to clone, whose flags a filter can read.
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
        rules.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    rules.load()
    return True
