"""A graph of about fifty nodes: Cholesky, a triangular solve, sorting, cumulated sums, reductions and a gradient."""
import numpy as np
import pytensor
import pytensor.tensor as pt

x, m = pt.vector("x"), pt.matrix("m")
chol = pt.linalg.cholesky(pt.dot(m, m.T) + 10.0 * pt.eye(4))
solved = pt.linalg.solve_triangular(chol, x[:4], lower=True)
hidden = pt.tanh(pt.dot(m, x[:4])) * pt.exp(-0.1 * pt.sqr(x[:4]))
ordered = pt.sort(x)[::-1]
running = pt.cumsum(ordered) / (1.0 + pt.arange(x.shape[0]))
cost = (pt.sum(pt.log(pt.diag(chol))) + pt.sum(pt.sqr(solved)) + pt.sum(hidden) + pt.sum(running * ordered)
        + pt.max(x) + pt.logsumexp(x))
outputs = [cost, pytensor.grad(cost, x), pytensor.grad(cost, m), pt.argmax(x), pt.switch(x > 0, x, -x),
           pt.concatenate([running, hidden])]
MODE = "NUMBA"
f = pytensor.function([x, m], outputs, mode=MODE)
rng = np.random.default_rng(4)
for value in f(rng.normal(size=7), rng.normal(size=(4, 4))):
    print(np.asarray(value).tolist())
print("nodes", len(f.maker.fgraph.toposort()) > 30)
