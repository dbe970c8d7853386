"""What the programs of icon_model.py share, in a module of its own: constants by class, a precision by name."""
import numpy as np
from gt4py.eve import utils

wpfloat = np.float64
vpfloat = np.float32


class Constants(utils.FrozenNamespace[wpfloat]):
    cpd = wpfloat(1004.64)
    rd = wpfloat(287.04)
    half = wpfloat(0.5)


Physics = Constants()
