"""Inside the guest: an NFS server and two clients, each with a network, a mount table and a host name of its own.

So the clients share no NFS state: what one caches the other does not see. The server's export is an ext4 file on a loop device. `Worker` is a
process of a client (worker.c); `Server.silence()` drops every packet of the clients, as a server that hangs or a network that is cut does.
"""
from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path

EXPORT = Path("/srv/export")
VERSIONS = {"v3": "vers=3", "v4.2": "vers=4.2"}
PATIENCE = 120
USER = 1000  # who runs the processes: no account, and not root


class Wrong(Exception):
    """A check failed."""


def sh(text: str, check: bool = True, **options: object) -> str:
    done = subprocess.run(["bash", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, **options)
    if check and done.returncode:
        raise Wrong(f"{text}: status {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class Server:
    def __init__(self) -> None:
        sh("for m in loop nfs nfsv3 nfsv4 nfsd veth iptable_filter; do modprobe $m; done")
        sh("mkdir -p /srv/export; truncate -s 256M /run/export.img; mke2fs -q -t ext4 /run/export.img; mount -o loop /run/export.img /srv/export")
        sh("mount -t nfsd nfsd /proc/fs/nfsd; mkdir -p /var/lib/nfs/rpc_pipefs; mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs")
        Path("/etc/exports").write_text(f"{EXPORT} *(rw,sync,no_subtree_check,no_root_squash,insecure,fsid=0)\n")
        sh("rpcbind; exportfs -ra; rpc.statd; rpc.nfsd -G 10 8; rpc.mountd")

    def status_daemons(self, clients: list[Client], run: bool) -> None:
        """Without them the kernel refuses, or keeps, every lock of version 3 from a machine that had none before."""
        if not run:
            sh("pkill -x rpc.statd; sleep 1")  # all three: networks are apart here, processes are not
            return
        sh("rpc.statd --no-notify")
        for client in clients:
            client.sh("rpc.statd --no-notify")

    def silence(self) -> None:
        sh("iptables -I INPUT -i veth+ -j DROP; iptables -I OUTPUT -o veth+ -j DROP")

    def speak(self) -> None:
        sh("iptables -F INPUT; iptables -F OUTPUT")


class Client:
    """One machine of the cluster, as far as NFS can tell."""

    def __init__(self, number: int) -> None:
        self.name, self.server = f"client{number}", f"10.0.{number}.1"
        sh(f"ip netns add {self.name}; ip link add veth{number} type veth peer name eth0 netns {self.name}; "
           f"ip addr add {self.server}/24 dev veth{number}; ip link set veth{number} up")
        self.holder = subprocess.Popen(["ip", "netns", "exec", self.name, "unshare", "-m", "-u", "sleep", "100000"])
        time.sleep(0.5)
        # Locks of v3 need a port mapper and a status daemon on the client too.
        self.sh(f"set -e; hostname {self.name}; ip link set lo up; ip addr add 10.0.{number}.2/24 dev eth0; ip link set eth0 up; "
                "mount -t tmpfs tmpfs /run; mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs tmpfs /var/lib/nfs; "
                "mkdir -p /run/rpcbind /var/lib/nfs/sm /var/lib/nfs/sm.bak; chown -R statd /var/lib/nfs; rpcbind; rpc.statd --no-notify")
        for version, option in VERSIONS.items():
            self.mount(version, option)

    def mount(self, name: str, options: str) -> None:
        source = f"{self.server}:{EXPORT}" if "vers=3" in options else f"{self.server}:/"
        self.sh(f"mkdir -p /mnt/{name}; mount -t nfs -o {options} {source} /mnt/{name}")

    def inside(self, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "-u", "--", *words]

    def sh(self, text: str, check: bool = True) -> str:
        done = subprocess.run(self.inside("bash", "-c", text), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise Wrong(f"{self.name}: {text}: status {done.returncode}: {done.stdout.strip()}")
        return done.stdout


class Worker:
    """A process on a client with a cache open; `tell` sends a command, `answer` waits for what came of it."""

    def __init__(self, client: Client, store: str, wait: bool = True, **environment: str) -> None:
        self.client = client
        variables = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LD_LIBRARY_PATH": "/payload", "SAGGAR_IMAGE_PATH": "none", **environment}
        command = client.inside("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "/payload/worker", store)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, bufsize=0)
        self.rest = b""
        if wait:
            self.answer()

    def tell(self, command: str) -> None:
        self.process.stdin.write(command.encode() + b"\n")

    def answer(self, patience: float = PATIENCE) -> tuple[float, str]:
        """Seconds and words. Wrong if nothing comes in time."""
        end = time.monotonic() + patience
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Wrong(f"{self.client.name}: no answer within {patience} s")
            more = os.read(self.process.stdout.fileno(), 4096)
            if not more:
                raise Wrong(f"{self.client.name}: the process ended with status {self.process.wait()}")
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        seconds, _, words = line.decode().partition(" ")
        return float(seconds), words

    def must_wait(self, what: str) -> None:
        if self.rest or select.select([self.process.stdout], [], [], 0)[0]:
            raise Wrong(f"{self.client.name}: {what} was not waited for")

    def ask(self, command: str, patience: float = PATIENCE) -> tuple[float, str]:
        self.tell(command)
        return self.answer(patience)

    def expect(self, command: str, words: str, patience: float = PATIENCE) -> float:
        seconds, got = self.ask(command, patience)
        if got != words:
            raise Wrong(f"{self.client.name}: {command}: {got!r}, expected {words!r}")
        return seconds

    def kill(self) -> None:
        self.process.kill()

    def end(self, patience: float = PATIENCE) -> float:
        """Ends it in good order; the seconds that took."""
        start = time.monotonic()
        self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Wrong(f"{self.client.name}: the process did not end within {patience} s") from None
        return time.monotonic() - start
