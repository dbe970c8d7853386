"""Programs as ICON4Py has them: neighbour reductions on an unstructured mesh, a vertical scan, a static argument, tuples."""
import os

import gt4py.next as gtx
import numpy as np
from gt4py.next import neighbor_sum, where

if os.environ.get("BACKEND") == "dace":
    from gt4py.next.program_processors.runners.dace import run_dace_cpu as backend
else:
    from gt4py.next.program_processors.runners.gtfn import run_gtfn as backend
Edge = gtx.Dimension("Edge")
Vertex = gtx.Dimension("Vertex")
K = gtx.Dimension("K", kind=gtx.DimensionKind.VERTICAL)
V2EDim = gtx.Dimension("V2E", kind=gtx.DimensionKind.LOCAL)
V2E = gtx.FieldOffset("V2E", source=Edge, target=(Vertex, V2EDim))
EdgeK = gtx.Field[gtx.Dims[Edge, K], gtx.float64]
VertexK = gtx.Field[gtx.Dims[Vertex, K], gtx.float64]


@gtx.field_operator
def _divergence(flux: EdgeK, area: VertexK, limit: bool) -> tuple[VertexK, VertexK]:
    total = neighbor_sum(flux(V2E), axis=V2EDim)
    capped = where(total > 1.0, 1.0, total) if limit else total
    return capped * area, total


@gtx.program(backend=backend)
def divergence(flux: EdgeK, area: VertexK, limit: bool, out: VertexK, total: VertexK):
    _divergence(flux, area, limit, out=(out, total))


@gtx.scan_operator(axis=K, forward=True, init=0.0)
def _column(state: float, x: float) -> float:
    return state * 0.5 + x


@gtx.program(backend=backend)
def column(x: VertexK, out: VertexK):
    _column(x, out=out)


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    edges, vertices, levels = 12, 6, 5
    table = rng.integers(0, edges, size=(vertices, 4)).astype(np.int32)
    offsets = {"V2E": gtx.as_connectivity([Vertex, V2EDim], codomain=Edge, data=table)}
    flux, area = rng.normal(size=(edges, levels)), rng.normal(size=(vertices, levels))
    out, total, sums = (gtx.as_field([Vertex, K], np.zeros((vertices, levels))) for _ in range(3))
    fields = gtx.as_field([Edge, K], flux), gtx.as_field([Vertex, K], area)
    want = flux[table].sum(axis=1)
    divergence.compile(limit=[True, False], offset_provider=offsets)
    for limit in (True, False):
        divergence(*fields, limit, out, total, offset_provider=offsets)
        assert np.allclose(out.asnumpy(), (np.minimum(want, 1.0) if limit else want) * area)
        assert np.allclose(total.asnumpy(), want)
    column(fields[1], sums, offset_provider={})
    state = np.zeros(vertices)
    for k in range(levels):
        state = state * 0.5 + area[:, k]
        assert np.allclose(sums.asnumpy()[:, k], state)
    print(round(float(out.asnumpy().sum()), 6), round(float(sums.asnumpy().sum()), 6))
