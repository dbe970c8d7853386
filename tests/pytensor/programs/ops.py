"""Two Ops, K(1) and K(2), whose inner functions have one name; FORM says where they differ. Prints what K(each) gives."""
import os
import sys

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph import Apply, Op
from pytensor.link.numba.dispatch import basic

FORM = os.environ["FORM"]


class K(Op):
    __props__ = ("k",)

    def __init__(self, k):
        self.k = k

    def make_node(self, x):
        return Apply(self, [pt.as_tensor(x)], [pt.vector(dtype="float64")])

    def perform(self, node, inputs, outputs):
        raise NotImplementedError


@basic.register_funcify_default_op_cache_key(K)
def _(op, node=None, **kwargs):
    k = op.k
    if FORM == "constants":
        dtype = np.int8 if k == 1 else np.float64

        @numba.njit
        def inner(x):
            return np.full(1, 300.0 * x if k == 2 else 3.5 * x).astype(dtype)[0]
    else:
        @numba.njit(forceinline=FORM == "inlined", no_cpython_wrapper=True)
        def inner(x):
            if FORM == "called" and x > 1e6:
                raise ValueError("too large")
            return x + (1.0 if k == 1 else 100.0)

    @basic.numba_njit
    def impl(x):
        result = np.empty_like(x)
        for i in range(len(x)):
            result[i] = inner(x[i])
        return result

    return impl


def values(*ks):
    x = pt.vector("x")
    return [v.tolist() for v in pytensor.function([x], [K(k)(x) for k in ks], mode="NUMBA")(np.ones(2))]


if __name__ == "__main__":
    ks = [int(k) for k in os.environ["KS"].split()]
    if FORM == "fork":
        for k in ks:
            child = os.fork()
            if child == 0:
                values(k)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        ks = sorted(ks)
    print(values(*ks))
    sys.stdout.flush()
