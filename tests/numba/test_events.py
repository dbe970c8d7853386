"""What the trail says: every event of a function under one group, and every compilation counted once."""


def groups(result, name):
    return {e["group"] for e in result.events if e.get("group", "").endswith(":" + name)}


SPAWN = """
    import multiprocessing
    from numba import njit

    @njit(cache=True)
    def f(x):
        return x + 1

    def work(i):
        return f(float(i))

    if __name__ == "__main__":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(work, [1, 2]))
        print(f(1))
    """


def test_one_group_for_a_function_of_the_program(project):
    """A child that multiprocessing starts has the program as __mp_main__; its entries and events say __main__."""
    cold, warm = project.cold_and_warm(SPAWN)
    for result, event in ((cold, "compiled"), (cold, "published"), (warm, "hit")):
        assert len({e["pid"] for e in result.of(event)}) == 2
    assert groups(cold, "f") == groups(warm, "f") == {"numba:__main__:f"}


def test_one_group_for_a_function_without_a_module(project):
    result = project.good("""
        from numba import njit
        space = {}
        exec("def f(x): return x + 1", space)
        space["f"].__module__ = None
        f = njit(cache=True)(space["f"])
        f(1)
        """)
    assert len(result.of("compiled")) == 1
    assert groups(result, "f") == {"numba::f"}


def test_a_version_of_an_overload_that_fails_is_not_counted(project):
    """Numba tries the versions of an overload in turn; what it could not compile was not compiled."""
    result = project.good("""
        from numba import njit
        from numba.extending import overload

        def either(x): pass

        @overload(either)
        def first(x):
            def fails(x):
                return x.no_such_attribute
            return fails

        @overload(either)
        def second(x):
            def works(x):
                return x + 1
            return works

        @njit(cache=True)
        def f(x):
            return either(x)

        print(f(1))
        """)
    assert result.out == "2\n"
    assert [e["group"].rpartition(".")[2].rpartition(":")[2] for e in result.of("compiled")] == ["works", "f"]


def test_a_name_for_a_derived_function_outside_of_a_compilation(project):
    """Never an exception, whatever Numba asks for."""
    project.good("""
        from numba.core.bytecode import FunctionIdentity

        def f(x): return x

        identity = FunctionIdentity.from_function(f)
        assert identity.derive().unique_id != identity.unique_id
        """)
