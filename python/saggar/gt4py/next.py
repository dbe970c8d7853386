"""The toolchains of `gt4py.next`: called when that is imported, before any program is compiled."""
from __future__ import annotations


def _change() -> None:
    from . import builds, gtfn, pool, translation

    builds.change()
    translation.change()
    gtfn.change()
    pool.change()


def install() -> bool:
    from . import part

    return part("gt4py.next", _change)
