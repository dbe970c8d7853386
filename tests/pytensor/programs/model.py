"""A hierarchical model as in the radon study: 919 measurements in 85 counties; its log density and gradient."""
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import pymc as pm

rng = np.random.default_rng(8)
ROWS, COUNTIES = 919, 85
county, floor = rng.integers(0, COUNTIES, ROWS), rng.integers(0, 2, ROWS).astype(float)
measured = 1.3 + 0.3 * rng.normal(size=COUNTIES)[county] - 0.6 * floor + 0.7 * rng.normal(size=ROWS)
with pm.Model() as model:
    mu = pm.Normal("mu", 0.0, 1.0)
    spread = pm.HalfNormal("spread", 1.0)
    offset = pm.Normal("offset", 0.0, 1.0, shape=COUNTIES)
    slope = pm.Normal("slope", 0.0, 1.0)
    noise = pm.Exponential("noise", 1.0)
    pm.Normal("measured", mu + spread * offset[county] + slope * floor, noise, observed=measured)
f = model.compile_fn([model.logp(), model.dlogp()], mode="NUMBA")
point = {v.name: np.linspace(-0.5, 0.5, v.type.shape[0]) if v.type.shape else np.float64(0.1) for v in model.value_vars}
logp, gradient = f(point)
print(float(logp), np.asarray(gradient).tolist())
