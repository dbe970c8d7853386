"""Trees (docs/FORMAT.md section 4.5): a writer and a reader that know only the document."""

from __future__ import annotations

import struct
from dataclasses import dataclass

DIRECTORY, FILE, EXECUTABLE, LINK = 1, 2, 3, 4


@dataclass(frozen=True)
class Node:
    kind: int
    depth: int
    name: bytes
    content: bytes = b""
    """A file's bytes, a link's target."""


class Malformed(Exception):
    pass


def directory(depth: int, name: str) -> Node:
    return Node(DIRECTORY, depth, name.encode())


def file(depth: int, name: str, content: bytes, executable: bool = False) -> Node:
    return Node(EXECUTABLE if executable else FILE, depth, name.encode(), content)


def link(depth: int, name: str, target: str) -> Node:
    return Node(LINK, depth, name.encode(), target.encode())


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 64)


def pack(nodes: list[Node]) -> bytes:
    rows, contents = b"", b""
    for node in nodes:
        rows += struct.pack("<BBH", node.kind, node.depth, len(node.name)) + node.name
        if node.kind == LINK:
            rows += struct.pack("<H", len(node.content)) + node.content
        elif node.kind != DIRECTORY:
            rows += struct.pack("<Q", len(node.content))
            contents += padded(node.content)
    head = len(padded(bytes(32) + rows))
    return padded(b"\x89SGT\r\n\x1a\n" + struct.pack("<HHIQQ", 1, 0, len(nodes), head, head + len(contents)) + rows) + contents


def need(good: bool, what: str) -> None:
    if not good:
        raise Malformed(what)


def is_target(target: bytes, depth: int) -> bool:
    """Some "..", at most as many as the depth, then names."""
    parts = target.split(b"/")
    ups = next((i for i, part in enumerate(parts) if part != b".."), len(parts))
    return ups <= depth and not {b"", b".", b".."} & set(parts[ups:]) and b"\0" not in target and 0 < len(target) <= 1023


def read(data: bytes) -> list[Node]:
    need(data[:8] == b"\x89SGT\r\n\x1a\n" and len(data) >= 32, "no tree")
    version, zero, count, head, size = struct.unpack_from("<HHIQQ", data, 8)
    need((version, zero, size) == (1, 0, len(data)) and count <= 2**20 and size % 64 == head % 64 == 0 and 32 <= head <= size, "sizes")
    at, content_at, path, nodes = 32, head, [], []
    for _ in range(count):
        need(at + 4 <= head, "cut off")
        kind, depth, length = struct.unpack_from("<BBH", data, at)
        name = data[at + 4 : at + 4 + length]
        at += 4 + length
        need(1 <= kind <= 4 and depth < 64 and at <= head, "a node")
        need(0 < length <= 255 and b"/" not in name and b"\0" not in name and name not in (b".", b".."), "a name")
        need(depth <= len(path) - (not nodes or nodes[-1].kind != DIRECTORY) if path else depth == 0, "no directory")
        need(depth >= len(path) or path[depth] < name, "order")
        path[depth:] = [name]
        need(len(b"/".join(path)) <= 1023, "a long path")
        content = b""
        if kind == LINK:
            need(at + 2 <= head, "cut off")
            (length,) = struct.unpack_from("<H", data, at)
            content, at = data[at + 2 : at + 2 + length], at + 2 + length
            need(at <= head and is_target(content, depth), "a target")
        elif kind != DIRECTORY:
            need(at + 8 <= head, "cut off")
            (length,) = struct.unpack_from("<Q", data, at)
            content, at, end = data[content_at : content_at + length], at + 8, content_at + length + -length % 64
            need(end <= size and not any(data[content_at + length : end]), "a content")
            content_at = end
        nodes.append(Node(kind, depth, name, content))
    need(content_at == size and head - at < 64 and not any(data[at:head]), "bytes behind the end")
    return nodes
