"""A small Debian guest under QEMU's software emulation: assembled from Debian packages, started with a payload, its console read.

The root file system is made once (some minutes) and kept below build/nfs; it is never written to: the guest lays a memory file system over it.
Nothing of it runs on the host but QEMU, and the guest has no network to the outside.

    make_guest(work)                        kernel, initrd and root image, each only if it is not there yet
    run_guest(work, payload, command, seconds)
                                            starts it, unpacks the payload's files to /payload, runs the command there,
                                            and yields what it prints, line by line; GuestError if it does not end well
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("nfs-kernel-server,nfs-common,rpcbind,python3,kmod,iproute2,iptables,procps,libssl3,libxxhash0,libzstd1,libstdc++6,strace")
FOLDERS = "arch crypto fs lib net drivers/net/veth.ko drivers/block drivers/virtio drivers/char/hw_random".split()
BOOT = "virtio_pci virtio_blk virtio_rng crc32c_generic ext4 overlay".split()
DONE = "GUEST-STATUS "

INIT = """#!/bin/sh
/bin/busybox mkdir -p /proc /sys /dev /low /up /new
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules.list); do insmod /modules/$module; done
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; sleep 0.2; done
mount -t ext4 -o ro,noload /dev/vda /low
mount -t tmpfs -o size=75% tmpfs /up
mkdir /up/upper /up/work
mount -t overlay -o lowerdir=/low,upperdir=/up/upper,workdir=/up/work overlay /new
mkdir -p /new/payload
tar -xf /dev/vdb -C /new/payload
for name in proc sys dev; do mount --move /$name /new/$name; done
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
for name in dev/shm run tmp; do mount -t tmpfs tmpfs /new/$name; done
chmod 1777 /new/tmp /new/dev/shm
exec switch_root /new /bin/bash /payload/start
"""

START = """#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONUNBUFFERED=1
dmesg -n 1
ip link set lo up
cd /payload
%s </dev/null
echo "{done}$?"
sync
echo o > /proc/sysrq-trigger
sleep 60
""".replace("{done}", DONE)


class GuestError(Exception):
    """The guest could not be made or did not end as it should."""


def call(*words: object, **options: object) -> str:
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise GuestError(f"{words[0]} failed with status {done.returncode}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def kernel_release() -> str:
    """The newest kernel of the distribution that has its modules here. It runs in the guest only."""
    found = [path.name.removeprefix("vmlinuz-") for path in Path("/boot").glob("vmlinuz-*")]
    found = [name for name in found if Path(f"/lib/modules/{name}/kernel/fs/nfsd").is_dir()]
    if not found:
        raise GuestError("no kernel in /boot with modules for NFS; install linux-image-amd64")
    return max(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def suite() -> str:
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    if not found or "debian" not in Path("/etc/os-release").read_text().lower():
        raise GuestError("the guest is assembled on Debian from Debian's own packages")
    return found[1]


def sources() -> list[str]:
    """The machine's own sources of packages."""
    return [str(path) for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("debian*.*")))
            if path.is_file() and path.suffix in (".list", ".sources")]


def make_root(work: Path, release: str) -> None:
    tree, packed = work / "root", work / "root.tar"
    shutil.rmtree(tree, ignore_errors=True)
    # In a mount namespace of its own and into an archive: what it mounts is never seen in a folder that is removed here.
    call("unshare", "--mount", "mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite(), packed, *sources(), env={**os.environ, "TMPDIR": str(work)})
    tree.mkdir()
    call("tar", "-xf", packed, "-C", tree, "--exclude=./dev/*")
    packed.unlink()
    here, there = Path("/lib/modules") / release, tree / "lib/modules" / release
    there.mkdir(parents=True)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(here / name, there / name)
    for name in dict.fromkeys(FOLDERS):
        source, target = here / "kernel" / name, there / "kernel" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, target)
    call("depmod", "-b", tree, release)
    for name in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(tree / name, ignore_errors=True)
    image = work / "root.ext4.part"
    image.unlink(missing_ok=True)
    call("mke2fs", "-q", "-t", "ext4", "-d", tree, image, "1500M")
    shutil.rmtree(tree)
    image.rename(work / "root.ext4")


def make_initrd(work: Path, release: str) -> None:
    tree = work / "initrd"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    names: list[str] = []
    for module in BOOT:
        for line in call("modprobe", "-S", release, "--show-depends", module).splitlines():
            if line.startswith("insmod "):
                path = Path(line.split()[1])
                if path.name not in names:
                    names.append(path.name)
                    shutil.copy(path, tree / "modules" / path.name)
    (tree / "modules.list").write_text("\n".join(names) + "\n")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    call("sh", "-c", "find . | cpio -o -H newc --quiet | gzip -1 > ../initrd.part && mv ../initrd.part ../initrd.gz", cwd=tree)
    shutil.rmtree(tree)


def make_guest(work: Path, say=print) -> None:
    work.mkdir(parents=True, exist_ok=True)
    release = kernel_release()
    made_of = f"{release} {PACKAGES} {INIT}"
    stamp = work / "guest.stamp"
    if stamp.exists() and stamp.read_text() == made_of and (work / "root.ext4").exists() and (work / "initrd.gz").exists():
        return
    stamp.unlink(missing_ok=True)
    say("the guest: a minimal Debian from the machine's own sources (once, some minutes)")
    make_root(work, release)
    make_initrd(work, release)
    stamp.write_text(made_of)


def pack(work: Path, files: dict[str, Path], command: str) -> Path:
    start = work / "start"
    start.write_text(START.replace("%s", command))
    payload = work / "payload.tar"
    with tarfile.open(payload, "w") as tar:
        for name, path in {**files, "start": start}.items():
            tar.add(path, arcname=name)
    with payload.open("ab") as tail:
        tail.write(b"\0" * (-payload.stat().st_size % 512))
    return payload


def run_guest(work: Path, files: dict[str, Path], command: str, seconds: float) -> Iterator[str]:
    """`files`: names below /payload. Yields the lines that the command prints."""
    payload = pack(work, files, command)
    drive = "file={},format=raw,if=virtio,readonly=on"
    qemu = subprocess.Popen(
        ["nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536",
         "-nographic", "-no-reboot", "-nic", "none", "-kernel", f"/boot/vmlinuz-{kernel_release()}", "-initrd", str(work / "initrd.gz"),
         "-drive", drive.format(work / "root.ext4"), "-drive", drive.format(payload),
         "-append", "console=ttyS0 panic=-1 quiet mitigations=off"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    timer = threading.Timer(seconds, qemu.kill)
    timer.start()
    status = None
    try:
        with open(work / "console", "w") as console:
            for line in qemu.stdout:
                console.write(line)
                console.flush()
                line = line.rstrip("\r\n")
                if line.startswith(DONE):
                    status = line.removeprefix(DONE)
                else:
                    yield line
    finally:
        timer.cancel()
        qemu.kill()
        qemu.wait()
    if status is None:
        raise GuestError(f"the guest did not come to its end within {seconds:.0f} s (its console: {work / 'console'})")
    if status != "0":
        raise GuestError(f"the checks ended with status {status}")


def missing() -> str | None:
    """What is not there, in one line; None: nothing."""
    if os.uname().machine != "x86_64":
        return "the guest runs on x86-64 only"
    if os.geteuid() != 0:
        return "assembling the guest needs root"
    path = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")
    needed = ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "cpio", "depmod", "busybox", "meson", "ninja", "cc")
    lacking = [name for name in needed if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(lacking)} (scripts/packages.sh nfs installs them)" if lacking else None
