def pytest_addoption(parser):
    try:
        parser.addoption("--with-numba", action="store_true", help="run the catalogue with Numba's own cache too")
    except ValueError:
        pass
