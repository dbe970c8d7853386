"""The binding of libsaggar. Everything here is thin: each function is one or two calls of the C library.

Errors: SaggarError(code, message) with `.name` ("ENOSPACE"); Uncacheable(reason) from the encoder only. A miss is not an error.
The interpreter's lock is released in claim(), publish() and find() where they may block.
"""
from typing import Any, Callable, Iterable

class SaggarError(Exception):
    code: int
    name: str

class Uncacheable(Exception):
    """An object has no canonical encoding. str(): what it is and where, e.g. "type foo.Bar at closure[0].x"."""

def version() -> str: ...

# -- canonical values (docs/FORMAT.md section 2) -----------------------------------------------------------------------
def encode(value: object, default: Callable[[object], object] | None = None,
           order: Callable[[Any], Iterable[object]] | None = None) -> bytes:
    """The canonical encoding of None, bool, int, float, complex, bytes, str, list, tuple, set, frozenset, dict (ordered map), exact types
    only; numpy dtype, ndarray and scalar; Record, Map, Digest, Raw. For anything else `default(obj)` is called and must return
    something encodable (else Uncacheable); about the members of a set in the order in which `order(set)` gives them. Cycles through
    containers become back references. Memory views and bytearray: not encodable."""

class Record:
    """A record value: type name and fields in the order given."""
    def __init__(self, type: str, fields: tuple[tuple[str, object], ...] | list[tuple[str, object]]) -> None: ...

class Map:
    """A map whose order does not matter, from a dict."""
    def __init__(self, items: dict[Any, Any]) -> None: ...

class Digest:
    """Stands for content that was digested: what, 32 bytes."""
    def __init__(self, what: str, sha256: bytes) -> None: ...

class Raw:
    """Bytes that are one canonical value already."""
    def __init__(self, encoded: bytes) -> None: ...

def decode(encoded: bytes) -> object:
    """The value: containers as Python's own, records as Record, maps as Map, digests as Digest, arrays and dtypes as numpy objects if numpy is
    imported, else as Record (arrays come back contiguous). Used by tests and by adapters for their own small metadata."""
def show(encoded: bytes, limit: int = 200) -> str: ...
def sha256(data: bytes) -> bytes: ...

# -- recipes -----------------------------------------------------------------------------------------------------------
def recipe(fields: list[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """(key, recipe bytes) of the encoded fields in order. SaggarError if a mandatory field is missing."""

# -- cache -------------------------------------------------------------------------------------------------------------
class Entry:
    tier: str
    identity: bytes
    def part(self, name: str) -> memoryview | None:
        """A part's verified bytes, read-only, zero-copy from an image; None if there is no such part. SaggarError if damaged.
        The memoryview keeps the entry alive."""
    def recipe(self) -> memoryview:
        """The recipe's verified bytes."""
    def dependencies(self) -> list[tuple[Any, ...]]:
        """As publish() takes them. SaggarError EUNKNOWN: one is of a kind that this version does not know."""
    def tree(self) -> Tree | None:
        """The entry's tree, placed; None if it has none. SaggarError if it is malformed or there is no place for it."""
    def tree_file(self, path: str, /) -> int:
        """A descriptor of one file of the tree in sealed memory, for /proc/self/fd; the caller closes it. Nothing is placed."""
    def reject(self) -> None: ...

class Claim:
    """Context manager; released at exit, on release(), and when collected."""
    outcome: str
    """"owned", "freed" (look again before compiling) or "none"."""
    waited: float
    def release(self) -> None: ...
    def __enter__(self) -> Claim: ...
    def __exit__(self, *exc: object) -> None: ...

class Cache:
    def __init__(self, *, store: str | None = None, images: str | None = None, prefix: str | None = None, read_only: bool = False,
                 wait_ms: int = -1, features: str | None = None) -> None: ...
    def find(self, key: bytes, resolver: object | None = None) -> tuple[Entry | None, str, str]:
        """(entry or None, reason word, detail). The resolver may have methods digest(code: bool, resolver, name) -> bytes | None,
        distribution(name) -> str | None, root(name) -> str | None, symbol(name) -> bool; a method it lacks answers "unknown"."""
    def claim(self, key: bytes, wait_ms: int = -1) -> Claim: ...
    def publish(self, recipe: bytes, *, group: tuple[str, str, str], parts: dict[str, bytes], arch: str | None = "host",
                features: tuple[str, str] | None = None, symbols: list[str] = [], dependencies: list[tuple[Any, ...]] = [],
                seconds: float | None = None) -> bytes:
        """Publishes and returns the identity. features: (CPU model or "", LLVM feature string), parsed by the library as `declared`;
        an unknown model raises SaggarError ENOTFOUND, and nothing is stored. dependencies: ("distribution", name, version),
        ("file", root, path, size, sha256), ("value", resolver, name, digest), ("code", resolver, name, digest)."""
    def get_or_build(self, recipe: bytes, build: Callable[[str], dict[str, Any] | None], *, group: tuple[str, str, str],
                     resolver: object | None = None, wait_ms: int | None = None) -> tuple[Tree, dict[str, Any]]:
        """A directory tree that is built once among all processes that see the store. build(directory) fills an empty directory and
        returns None, or a dict with any of parts, features and dependencies, as publish() takes them. What it raises is raised here,
        and nothing is left. The second value says what was done: built, stored, reason, error, detail, identity (or None).
        wait_ms: the longest wait for another builder; None: the cache's."""
    def tiers(self) -> list[dict[str, object]]:
        """One dict per tier in search order: kind, path, active, trusted, note, entries."""
    def close(self) -> None: ...

class Tree:
    """A finished directory tree, read-only. Keep the object as long as files of the tree are opened."""
    path: str
    shared: bool
    """True if later processes find it there; else it goes with this object."""

class Mapping:
    """Keys and values of any bytes, written once, as entries of a cache. SaggarError: what went wrong with the store."""
    def __init__(self, cache: Cache, name: str) -> None: ...
    def get(self, key: bytes, /) -> memoryview | None: ...
    def put(self, key: bytes, value: bytes, /) -> bool:
        """True if the value is there now; False if another one is, which stays."""
    def delete(self, key: bytes, /) -> bool: ...
    def keys(self) -> list[bytes]: ...
    def key(self, key: bytes, /) -> bytes:
        """The cache's key that a key has: for Cache.claim()."""
    def __contains__(self, key: bytes) -> bool: ...
    def __len__(self) -> int: ...

# -- processors, symbols, trail ------------------------------------------------------------------------------------------
def host_features() -> str: ...
def parse_features(cpu: str, features: str) -> tuple[str, str]:
    """(canonical names, unknown names), both comma-separated. SaggarError ENOTFOUND for an unknown model."""
def toolchain(command: str | None = None, list: str | None = None) -> tuple[str, str, bytes] | None:
    """(path, name, identity) of the compiler that a command is ("ccache g++ -m64"; None: the C++ compiler that CMake would take), looked
    for in `list` (None: PATH). None if there is none. Nothing is run; the whole compiler is read."""
def flags_target(flags: str) -> tuple[str, str]:
    """(CPU model, LLVM feature string) that a compiler's flags name, as publish() takes them."""
def register_symbol(name: str, digest: bytes) -> bool:
    """False if another digest is registered under the name."""
def object_symbols(obj: bytes) -> list[tuple[str, bool, bool]]:
    """(name, defined, common) of each global or weak symbol of an ELF64 relocatable object."""

FLAG_USED: int
FLAG_CACHEABLE: int
FLAG_ACTIVE: int
FLAG_NESTED: int
FLAG_STARTING: int

def trail(event: str, *, flags: int = 0, reason: str = "none", value: int = 0, key: bytes | None = None, group: str = "",
          detail: str = "", blob: bytes | None = None) -> None:
    """Records an event: "adapter", "hit", "miss", "compiled", "published", "not-stored", "fault", "waited", "random-name". Never raises
    for anything but a wrong argument type."""
def trail_close() -> None: ...
def trail_counts() -> dict[str, int]: ...
