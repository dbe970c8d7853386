"""A piece of a model in the style of ICON4Py: reductions over neighbours, some of them missing, sparse weights, boundaries by level and by
index, mixed precision, a tridiagonal solver, a scan over named tuples, static arguments compiled ahead, optimisation hooks for dace.

Prints a digest of every result's bytes. BACKEND: gtfn or dace.
"""
import functools
import hashlib
import os
from typing import NamedTuple

import gt4py.next as gtx
import numpy as np
from gt4py.next import astype, broadcast, maximum, min_over, neighbor_sum, sqrt, where
from gt4py.next.experimental import concat_where
from icon_constants import Physics, vpfloat, wpfloat

Cell, Edge, Vertex = (gtx.Dimension(name) for name in ("Cell", "Edge", "Vertex"))
K = gtx.Dimension("K", kind=gtx.DimensionKind.VERTICAL)
E2CDim, C2EDim, V2CDim, E2C2VDim = (gtx.Dimension(name, kind=gtx.DimensionKind.LOCAL) for name in ("E2C", "C2E", "V2C", "E2C2V"))
E2C = gtx.FieldOffset("E2C", source=Cell, target=(Edge, E2CDim))
C2E = gtx.FieldOffset("C2E", source=Edge, target=(Cell, C2EDim))
V2C = gtx.FieldOffset("V2C", source=Cell, target=(Vertex, V2CDim))
E2C2V = gtx.FieldOffset("E2C2V", source=Vertex, target=(Edge, E2C2VDim))

CellK, EdgeK, VertexK = (gtx.Field[gtx.Dims[dim, K], wpfloat] for dim in (Cell, Edge, Vertex))
CellKv = gtx.Field[gtx.Dims[Cell, K], vpfloat]
Weights = gtx.Field[gtx.Dims[Edge, E2C2VDim], wpfloat]


@gtx.field_operator
def _nabla4(u: VertexK, weights: Weights, length: gtx.Field[gtx.Dims[Edge], wpfloat], nabla2: EdgeK) -> EdgeK:
    return (neighbor_sum(u(E2C2V) * weights, axis=E2C2VDim) - wpfloat("2.0") * nabla2) * length * length


@gtx.field_operator
def _diffusion(u: VertexK, weights: Weights, length: gtx.Field[gtx.Dims[Edge], wpfloat], nabla2: EdgeK, vn: EdgeK, boundary: gtx.int32,
               limited_area: bool) -> EdgeK:
    inner = vn + Physics.half * _nabla4(u, weights, length, nabla2)
    return concat_where(Edge >= boundary, inner, vn - nabla2) if limited_area else inner


@gtx.field_operator
def _divergence(vn: EdgeK, factor: gtx.Field[gtx.Dims[Cell, C2EDim], wpfloat]) -> CellK:
    return neighbor_sum(vn(C2E) * factor, axis=C2EDim)


@gtx.program(grid_type=gtx.GridType.UNSTRUCTURED)
def diffusion(u: VertexK, weights: Weights, length: gtx.Field[gtx.Dims[Edge], wpfloat], nabla2: EdgeK, vn: EdgeK, vn_new: EdgeK,
              factor: gtx.Field[gtx.Dims[Cell, C2EDim], wpfloat], div: CellK, boundary: gtx.int32, limited_area: bool,
              edge_start: gtx.int32, edge_end: gtx.int32, cells: gtx.int32, levels: gtx.int32):
    _diffusion(u, weights, length, nabla2, vn, boundary, limited_area, out=vn_new, domain={Edge: (edge_start, edge_end), K: (0, levels)})
    _divergence(vn_new, factor, out=div, domain={Cell: (0, cells), K: (1, levels)})


@gtx.field_operator
def _to_vertices(w: CellK) -> tuple[VertexK, VertexK]:
    """At the rim a vertex has fewer cells: -1 in the table."""
    return neighbor_sum(w(V2C), axis=V2CDim), min_over(w(V2C), axis=V2CDim)


@gtx.program(grid_type=gtx.GridType.UNSTRUCTURED)
def to_vertices(w: CellK, total: VertexK, least: VertexK):
    _to_vertices(w, out=(total, least))


@gtx.scan_operator(axis=K, forward=True, init=(vpfloat("0.0"), 0.0))
def _forward(above: tuple[vpfloat, float], a: vpfloat, b: vpfloat, c: vpfloat, d: wpfloat) -> tuple[vpfloat, wpfloat]:
    c_above = astype(above[0], vpfloat)
    norm = vpfloat("1.0") / (b + a * c_above)
    return (vpfloat("0.0") - c) * norm, (d - astype(a, wpfloat) * above[1]) * astype(norm, wpfloat)


@gtx.scan_operator(axis=K, forward=False, init=wpfloat(0.0))
def _backward(below: wpfloat, q: vpfloat, w: wpfloat) -> wpfloat:
    return w + below * astype(q, wpfloat)


@gtx.field_operator
def _implicit(w: CellK, rho: CellKv, dtime: wpfloat, nlev: gtx.int32) -> CellK:
    gamma = astype(dtime * Physics.rd / Physics.cpd * astype(rho, wpfloat), vpfloat)
    a = concat_where(K > 0, (vpfloat("0.0") - gamma) * rho(K - 1), broadcast(vpfloat("0.0"), (Cell,)))
    c = concat_where(K < nlev - 1, (vpfloat("0.0") - gamma) * rho(K + 1), broadcast(vpfloat("0.0"), (Cell,)))
    q, d = _forward(a, vpfloat("3.0") + gamma, c, w)
    return _backward(q, d)


@gtx.program(grid_type=gtx.GridType.UNSTRUCTURED)
def implicit(w: CellK, rho: CellKv, dtime: wpfloat, nlev: gtx.int32, out: CellK, cells: gtx.int32):
    _implicit(w, rho, dtime, nlev, out=out, domain={Cell: (0, cells), K: (0, nlev)})


class Species(NamedTuple):
    x: wpfloat
    flux: wpfloat
    active: bool


class Column(NamedTuple):
    rain: Species
    snow: Species
    rho: wpfloat


@gtx.field_operator
def _fall(above: Species, rho: wpfloat, q: wpfloat, zeta: wpfloat, mask: bool) -> Species:
    active = above.active | mask
    if active:
        speed = zeta * sqrt(maximum(above.x + q, wpfloat(0.0)))
        x = (q * rho + above.flux) / (wpfloat(1.0) + speed)
        flux = x * speed * rho
    else:
        x = q
        flux = wpfloat(0.0)
    return Species(x=x, flux=flux, active=active)


@gtx.scan_operator(axis=K, forward=True, init=Column(rain=Species(x=0.0, flux=0.0, active=False), snow=Species(x=0.0, flux=0.0, active=False), rho=0.0))
def _column(above: Column, rain: wpfloat, snow: wpfloat, rho: wpfloat, dt: wpfloat, mask: bool) -> Column:
    zeta = dt / wpfloat(2.0) * sqrt(maximum(above.rho, wpfloat(0.1)))
    return Column(rain=_fall(above.rain, rho, rain, zeta, mask), snow=_fall(above.snow, rho, snow, zeta * Physics.half, mask), rho=rho)


class Water(NamedTuple):
    rain: CellK
    snow: CellK


@gtx.field_operator
def _precipitate(q: Water, rho: CellK, dt: wpfloat, limit: wpfloat) -> tuple[Water, CellK]:
    column = _column(q.rain, q.snow, rho, dt, q.rain + q.snow > limit)
    return Water(rain=column.rain.x, snow=column.snow.x), where(column.snow.active, column.snow.flux, wpfloat(0.0))


@gtx.program(grid_type=gtx.GridType.UNSTRUCTURED)
def precipitate(q: Water, rho: CellK, dt: wpfloat, limit: wpfloat, out: Water, flux: CellK):
    _precipitate(q, rho, dt, limit, out=(out, flux))


UNROLL = True


def simplify(sdfg):
    """A hook of the program's own in the optimisation."""
    sdfg.simplify(validate=UNROLL)


def make_backend():
    if os.environ.get("BACKEND") != "dace":
        from gt4py.next.program_processors.runners import gtfn
        return gtfn.run_gtfn
    from gt4py.next.program_processors.runners import dace
    from gt4py.next.program_processors.runners.dace import transformations
    if not os.environ.get("HOOKS"):
        return dace.run_dace_cpu
    return dace.make_dace_backend(gpu=False, unstructured_horizontal_has_unit_stride=True, optimization_args={
        "fuse_tasklets": True, "optimization_hooks": {transformations.GT4PyAutoOptHook.TopLevelDataFlowStep: simplify}})


def setup(program, backend, constants, variants, offsets):
    """Static arguments are compiled in, ahead; nothing else may compile."""
    made = program.with_backend(backend).with_compilation_options(enable_jit=False)
    made.compile(**{name: [value] for name, value in constants.items()}, **variants, offset_provider=offsets)
    return functools.partial(made, **constants, offset_provider=offsets)


def stages(backend):
    """What the model does, one after the other."""
    rng = np.random.default_rng(3)
    size = {Cell: 18, Edge: 27, Vertex: 9, K: 7, E2C2VDim: 4, C2EDim: 3}

    def table(target, local, codomain, n):
        data = rng.integers(0, size[codomain], size=(size[target], n)).astype(np.int32)
        return gtx.as_connectivity([target, local], codomain=codomain, data=data)

    def field(*dims, dtype=wpfloat, zero=False):
        data = rng.uniform(0.5, 1.5, size=[size[dim] for dim in dims]) * (not zero)
        return gtx.as_field(dims, data.astype(dtype))

    offsets = {"E2C": table(Edge, E2CDim, Cell, 2), "C2E": table(Cell, C2EDim, Edge, 3), "E2C2V": table(Edge, E2C2VDim, Vertex, 4)}
    rim = rng.integers(0, size[Cell], size=(size[Vertex], 6)).astype(np.int32)
    rim[::2, 4:] = -1
    offsets["V2C"] = gtx.as_connectivity([Vertex, V2CDim], codomain=Cell, data=rim, skip_value=-1)
    vn, total, least = field(Edge, K, zero=True), field(Vertex, K, zero=True), field(Vertex, K, zero=True)
    div, out, flux = (field(Cell, K, zero=True) for _ in range(3))
    water = [Water(rain=field(Cell, K, zero=zero), snow=field(Cell, K, zero=zero)) for zero in (False, True)]
    first = field(Vertex, K), field(Edge, E2C2VDim), field(Edge), field(Edge, K), field(Edge, K), vn, field(Cell, C2EDim), div
    rho, density = field(Cell, K, dtype=vpfloat), field(Cell, K)
    cells, levels = gtx.int32(size[Cell]), gtx.int32(size[K])
    domain = {"edge_start": gtx.int32(2), "edge_end": gtx.int32(size[Edge] - 1), "cells": cells, "levels": levels, "boundary": gtx.int32(9)}

    def diffuse():
        prepared = setup(diffusion, backend, domain, {"limited_area": [True, False]}, offsets)
        for limited_area in (True, False):
            prepared(*first, limited_area=limited_area)
            say("diffusion", vn, div)

    def average():
        to_vertices.with_backend(backend)(div, total, least, offset_provider=offsets)
        say("to_vertices", total, least)

    def solve():
        setup(implicit, backend, {"nlev": levels, "cells": cells}, {}, offsets)(div, rho, wpfloat(0.25), out=out)
        say("implicit", out)

    def fall():
        precipitate.with_backend(backend)(water[0], density, wpfloat(2.0), wpfloat(2.2), water[1], flux, offset_provider={})
        say("precipitate", *water[1], flux)

    return diffuse, average, solve, fall


def say(name, *fields):
    for field in fields:
        print(name, field.asnumpy().dtype, hashlib.sha256(np.ascontiguousarray(field.asnumpy()).tobytes()).hexdigest()[:16], field.asnumpy().sum())


if __name__ == "__main__":
    for stage in stages(make_backend()):
        stage()
