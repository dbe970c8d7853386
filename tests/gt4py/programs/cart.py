"""A stencil of gt4py.cartesian with a function, an external and a vertical recurrence, checked against NumPy."""
import gt4py.storage
import numpy as np
from gt4py.cartesian import gtscript
from gt4py.cartesian.gtscript import FORWARD, PARALLEL, Field, computation, interval

BACKEND = "gt:cpu_ifirst"
SCALE = 0.5


@gtscript.function
def lap(a):
    return -4.0 * a[0, 0, 0] + a[1, 0, 0] + a[-1, 0, 0] + a[0, 1, 0] + a[0, -1, 0]


@gtscript.stencil(backend=BACKEND, externals={"SCALE": SCALE})
def smooth(a: Field[np.float64], out: Field[np.float64], total: Field[np.float64]):
    from __externals__ import SCALE

    with computation(PARALLEL), interval(...):
        out = a + SCALE * lap(a)
    with computation(FORWARD):
        with interval(0, 1):
            total = out
        with interval(1, None):
            total = total[0, 0, -1] + out


data = np.random.default_rng(0).normal(size=(10, 10, 3))
a = gt4py.storage.from_array(data, backend=BACKEND, aligned_index=(1, 1, 0))
out, total = (gt4py.storage.zeros(data.shape, backend=BACKEND, aligned_index=(1, 1, 0)) for _ in range(2))
smooth(a, out, total, origin=(1, 1, 0), domain=(8, 8, 3))
n = slice(1, -1)
want = data[n, n] + SCALE * (-4.0 * data[n, n] + data[2:, n] + data[:-2, n] + data[n, 2:] + data[n, :-2])
print(round(float(np.asarray(out)[n, n].sum()), 6), round(float(np.asarray(total)[n, n].sum()), 6))
print("as written" if np.allclose(out[n, n], want) and np.allclose(total[n, n], want.cumsum(axis=2)) else "edited")
