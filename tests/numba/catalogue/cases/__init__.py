"""The cases, by kind, in the order of the page. Importing this package fills `model.CASES`."""
from importlib import import_module

for _name in ("bodies", "values", "extensions", "registries", "options", "arguments", "forms", "collisions", "places", "environment", "faults"):
    import_module(f"{__name__}.{_name}")
