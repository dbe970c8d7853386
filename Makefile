# The two commands of the README are `make demo` and `make test`. Everything that is made lies below build/.

PYTHON ?= python3
export PYTHON

.PHONY: all demo test test-slow test-catalogue test-julia soak test-c test-container test-container-julia test-nfs test-apps bench clean install

all: build/meson/build.ninja
	ninja -C build/meson

build/meson/build.ninja:
	./scripts/packages.sh build
	meson setup --buildtype=release build/meson

# The main job on real code: OasisLMF's kernels warmed up, baked, shipped and proved, beside Numba's own cache.
demo:
	./scripts/packages.sh build
	$(PYTHON) examples/oasis/demo.py

# Everything that decides whether a change may land.
test:
	./scripts/packages.sh test
	$(PYTHON) tests/run.py

# What takes too long for every change: packaging, Numba's own tests, the older Numba, the large programs of PyTensor and GT4Py.
test-slow:
	./scripts/packages.sh test
	$(PYTHON) tests/run.py packaging c-clang-all numba-upstream numba-pinned-all pytensor-slow gt4py-slow catalogue

# Every known way that a cache of Numba functions goes wrong; random programs and 10,000 edits.
test-catalogue:
	./scripts/packages.sh test
	$(PYTHON) tests/run.py catalogue

soak:
	./scripts/packages.sh test
	$(PYTHON) tests/run.py soak

# A real Julia 1.5.3 beside Saggar (needs root and debootstrap).
test-julia:
	./scripts/packages.sh test
	$(PYTHON) tests/run.py julia

# The library alone, under ASan and UBSan, with gcc.
test-c:
	./scripts/packages.sh test
	$(PYTHON) tests/run.py c-gcc

# The README's Dockerfile, built for real (needs root, buildah and debootstrap).
test-container:
	./scripts/packages.sh container
	$(PYTHON) tests/container/run.py

# The Dockerfile of docs/julia.md with a real Julia 1.5.3 (the same, and strace; SAGGAR_JULIA_ROOT names a Debian 11 that has it).
test-container-julia:
	./scripts/packages.sh test
	./scripts/packages.sh container
	$(PYTHON) tests/container/julia.py

# An NFS server and two clients in an emulated machine (needs root and qemu; the first run assembles the machine).
test-nfs:
	./scripts/packages.sh nfs
	$(PYTHON) tests/nfs/run.py $(CHECKS)

# Real applications, from the folder APPS.
APPS ?= ../shared/fixtures/apps
test-apps:
	$(PYTHON) tests/apps/run.py $(APPS)

# Hit, miss, open and publish beside Numba's own cache and loose files.
bench:
	./scripts/packages.sh test
	$(PYTHON) bench/run.py

install: all
	meson install -C build/meson

clean:
	rm -rf build
