"""The processor that Numba compiles for."""
from __future__ import annotations

from typing import Any

from .. import _saggar

_known: dict[tuple[str, str], tuple[str, str]] = {}


def features(codegen: Any) -> tuple[str, str]:
    """
    (CPU model, LLVM feature string) of a code generator, as `publish` wants them. A model that Saggar does not know is
    left out if LLVM's full list of the host's features stands beside it; the list then says all.
    """
    _, cpu, listed = codegen.magic_tuple()
    pair = (cpu or "", listed or "")
    known = _known.get(pair)
    if known is None:
        known = pair
        try:
            _saggar.parse_features(*pair)
        except _saggar.SaggarError as error:
            if error.name == "ENOTFOUND" and pair[1].count(",") > 20:
                known = ("", pair[1])
        _known[pair] = known
    return known
