"""The toolchains of `gt4py.next`: called when that is imported, before any program is compiled."""
from __future__ import annotations


def _change() -> None:
    import sys

    from . import gtfn, pool, private, translation

    private.change()
    translation.change()
    gtfn.change()
    pool.change()
    if "gt4py.next.program_processors.runners.dace.workflow.compilation" in sys.modules:  # where DaCe is installed
        from . import dace

        dace.change()


def install() -> bool:
    from . import part

    return part("gt4py.next", _change)
