#!/bin/sh
# Makes sure that the Debian packages for a purpose are there: packages.sh build|test|container|nfs
# Installs what is missing with apt when it may (root), else says in one line which command would.
set -eu

case "${1:-build}" in
build) want="gcc libc6-dev pkg-config libssl-dev libxxhash-dev libzstd-dev g++ libtoml11-dev nlohmann-json3-dev python3-venv" ;;
test) want="ccache gcc libc6-dev pkg-config libssl-dev libxxhash-dev libzstd-dev g++ libtoml11-dev nlohmann-json3-dev python3-venv clang libclang-rt-14-dev meson ninja-build
    libcmocka-dev strace scdoc qemu-user zstd util-linux faketime" ;;
container) want="buildah skopeo debootstrap strace" ;;
nfs) want="gcc libc6-dev pkg-config libssl-dev libxxhash-dev libzstd-dev g++ libtoml11-dev nlohmann-json3-dev meson ninja-build
    qemu-system-x86 linux-image-amd64 mmdebstrap busybox-static e2fsprogs cpio kmod" ;;
*)
    echo "packages.sh: unknown purpose '$1'; one of build, test, container, nfs" >&2
    exit 2
    ;;
esac

command -v dpkg-query >/dev/null 2>&1 || exit 0
missing=""
for package in $want; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "packages.sh: these Debian packages are needed; install them with:  sudo apt-get install$missing" >&2
    exit 1
fi
echo "installing system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
