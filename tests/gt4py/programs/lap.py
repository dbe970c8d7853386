"""Two programs of gt4py.next on a structured grid, checked against NumPy. BACKEND: gtfn or dace."""
import os

import gt4py.next as gtx
import numpy as np

if os.environ.get("BACKEND") == "dace":
    from gt4py.next.program_processors.runners.dace import run_dace_cpu as backend
else:
    from gt4py.next.program_processors.runners.gtfn import run_gtfn as backend
I = gtx.Dimension("I")
J = gtx.Dimension("J")
F = gtx.Field[gtx.Dims[I, J], gtx.float64]


@gtx.field_operator
def lap(a: F) -> F:
    return -4.0 * a + a(I + 1) + a(I - 1) + a(J + 1) + a(J - 1)


@gtx.program(backend=backend)
def smooth(a: F, out: F):
    lap(a, out=out[2:-2, 2:-2])


@gtx.field_operator
def scaled(a: F, by: gtx.float64) -> F:
    return a * by + 2.0


@gtx.program(backend=backend)
def scale(a: F, by: gtx.float64, out: F):
    scaled(a, by, out=out)


if __name__ == "__main__":
    data = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float64)
    field = gtx.as_field([I, J], data)
    one, two = gtx.as_field([I, J], np.zeros_like(data)), gtx.as_field([I, J], np.zeros_like(data))
    smooth(field, one, offset_provider={})
    scale(field, data.dtype.type(3.0), two, offset_provider={})
    n = slice(2, -2)
    print(round(float(one.asnumpy()[n, n].sum()), 4), round(float(two.asnumpy().sum()), 4), data.dtype)
    by_numpy = -4.0 * data[n, n] + data[3:-1, n] + data[1:-3, n] + data[n, 3:-1] + data[n, 1:-3]
    print("as written" if np.allclose(one.asnumpy()[n, n], by_numpy, atol=1e-4) else "edited")
    assert np.allclose(two.asnumpy(), data * 3 + 2, atol=1e-4)
