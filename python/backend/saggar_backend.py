"""The build backend: meson-python's."""
from mesonpy import *  # noqa: F401,F403
