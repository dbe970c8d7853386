"""The processor that Numba compiles for."""
from __future__ import annotations

from typing import Any

from numba.core import config


def features(codegen: Any) -> tuple[str, str]:
    """
    (CPU model, LLVM feature string) of a code generator, as `publish` wants them. LLVM's own list of the host's
    features names every feature that this LLVM knows, and so says all; the model beside it then adds nothing but
    what LLVM cannot use.
    """
    _, cpu, listed = codegen.magic_tuple()
    if config.CPU_FEATURES is None and listed:
        return "", listed
    return cpu or "", listed or ""
