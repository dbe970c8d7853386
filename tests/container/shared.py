"""What the container tests share: buildah without a daemon, in a folder of the test's own, and commands run in the finished images.

No container engine is needed; builds have no network. Whatever is run goes to the log in the folder.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Done = subprocess.CompletedProcess


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def shown_dockerfile(document: str) -> str:
    """The Dockerfile that a document shows, word for word."""
    found = re.search(r"```dockerfile\n(.*?)```", (ROOT / document).read_text(), re.S)
    if not found:
        sys.exit(f"container: {document} shows no dockerfile block")
    return found[1]


class Engine:
    """Images and containers below one folder; the caches of `RUN --mount=type=cache` too."""

    def __init__(self, work: Path) -> None:
        self.work, self.log = work, work / "log"
        self.environment = {**os.environ, "TMPDIR": str(work / "tmp")}

    def start(self) -> None:
        """Empty, but for what was downloaded. Ends the program where it cannot run."""
        if os.geteuid() != 0:
            print("skipped: the container test needs root (buildah with chroot isolation)")
            sys.exit(0)
        self.drop_storage()
        (self.work / "tmp").mkdir(parents=True)
        self.log.write_bytes(b"")

    def run(self, *command: object, check: bool = True) -> Done:
        words = [str(word) for word in command]
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            log.flush()
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment, stdin=subprocess.DEVNULL)
            log.write(done.stdout)
        if check and done.returncode:
            sys.stderr.write(done.stdout.decode(errors="replace")[-6000:])
            sys.exit(f"container: {' '.join(words[:8])} ... failed with status {done.returncode} (whole log: {self.log})")
        return done

    def words(self, *arguments: object) -> list[str]:
        return ["buildah", "--storage-driver", "vfs", "--root", str(self.work / "storage"), "--runroot", str(self.work / "runroot"),
                *map(str, arguments)]

    def buildah(self, *arguments: object, check: bool = True) -> Done:
        return self.run(*self.words(*arguments), check=check)

    def build_words(self, name: str, text: str, context: Path) -> list[str]:
        path = self.work / f"Dockerfile.{name}"
        path.write_text(text)
        return self.words("bud", "--isolation", "chroot", "--no-cache", "-t", f"localhost/{name}", "-f", path, context)

    def build(self, name: str, text: str, context: Path) -> Done:
        return self.run(*self.build_words(name, text, context))

    def mounted(self, image: str) -> tuple[str, str]:
        """A container of the image, and where its files lie; to be given to `release`."""
        container = self.buildah("from", f"localhost/{image}").stdout.decode().split()[-1]
        return container, self.buildah("mount", container).stdout.decode().split()[-1]

    def release(self, container: str) -> None:
        self.buildah("umount", container)
        self.buildah("rm", container)

    def inside(self, image: str, *command: str, writable: str = "") -> Done:
        """Runs a command in a new container of the image; `enter` says how."""
        container, mount = self.mounted(image)
        try:
            return self.enter(image, mount, *command, writable=writable)
        finally:
            self.release(container)

    def enter(self, image: str, mount: str, *command: str, writable: str = "", trace: Path | None = None) -> Done:
        """Runs a command where an image is mounted: read-only root, user 65534, only what the image itself sets in the environment, in a
        fresh /tmp.

        A folder named as writable is covered by a copy of itself that belongs to the user. `trace` gets the files that were opened.
        """
        config = json.loads(self.buildah("inspect", "--type", "image", f"localhost/{image}").stdout)
        variables = config["OCIv1"]["config"].get("Env") or []
        watch = f"strace -f -qq -s 4096 -e trace=open,openat -o '{trace}' " if trace else ""
        script = (f"set -e; mount --bind {mount} {mount}; mount -o remount,bind,ro {mount}; mount -t tmpfs -o mode=1777 tmp {mount}/tmp; "
                  f"mount -t proc proc {mount}/proc; mount --bind /dev {mount}/dev; cd /; "
                  + (f"mkdir {mount}/tmp/copy; cp -a {mount}{writable}/. {mount}/tmp/copy; chown -R 65534:65534 {mount}/tmp/copy; "
                     f"mount --bind {mount}/tmp/copy {mount}{writable}; " if writable else "") +
                  f'exec {watch}chroot --userspec=65534:65534 {mount} /usr/bin/env -i --chdir=/tmp "$@"')
        return self.run("unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", *variables, *command, check=False)

    def end(self, passed: int, failed: int) -> int:
        """The program's exit status. What it made stays after a failure, or with --keep."""
        print(f"{passed} passed, {failed} failed")
        if not failed and "--keep" not in sys.argv:
            self.drop_storage()
        return 1 if failed else 0

    def drop_storage(self) -> None:
        """The vfs driver keeps a whole copy of the file system per layer: several GB."""
        for name in ("storage", "runroot", "tmp"):
            shutil.rmtree(self.work / name, ignore_errors=True)
