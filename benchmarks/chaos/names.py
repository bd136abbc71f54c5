"""A name of which the agents are records, for one process: it sees a hosts file of its own.

The function looks names up as everywhere, by getaddrinfo; in its mount namespace ``/etc/hosts`` is
the tool's file, and ``/etc/nsswitch.conf`` says that hosts are in files alone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

#: The name.
AGENTS_NAME = "agents.chaos"
_MOUNTED = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'
#: Bytes of the file, whatever it says: it is replaced by one write, so that no reader sees a part.
_SIZE = 1024


class HostsFile:
    """The file, in ``folder``, and the command under which a process sees it."""

    def __init__(self, folder: Path) -> None:
        self._path, self._sources = folder / "hosts", folder / "nsswitch.conf"
        self._sources.write_text("hosts: files\n")
        self._path.write_bytes(b"\n" * _SIZE)

    @property
    def wrapper(self) -> list[str]:
        """A command that runs its arguments as a process that sees this file."""
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        return [*unshare, "sh", "-c", _MOUNTED, "sh", str(self._path), str(self._sources)]

    def say(self, hosts: Iterable[str]) -> None:
        """The name's records from now on; without any, a look-up fails."""
        text = "".join(f"{host} {AGENTS_NAME}\n" for host in hosts).encode()
        file = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(file, text.ljust(_SIZE, b"\n"), 0)
        finally:
            os.close(file)

    def refusal(self) -> str:
        """Why no process can have a file of its own on this machine; empty where one can."""
        try:
            done = subprocess.run([*self.wrapper, "true"], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return (done.stderr.strip() or f"unshare ended with {done.returncode}") if done.returncode else ""
