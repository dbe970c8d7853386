"""Two bodies under one name: whatever `names` fails to take in is noticed, and neither stored nor linked in the other's place."""

# The adapter with names that take in too little: the qualified name alone.
BLIND = """
    from saggar.numba import identity, names
    class Blind:
        def __init__(self, function): self.digest = getattr(function, "__qualname__", "").encode()
    class Identity:
        def __getattr__(self, name): return getattr(identity, name)
        def content(self, function, *rest): return Blind(getattr(function, "py_func", function))
    names.identity = Identity()
    """
LIB = """
    from numba import njit
    def make(k):
        @njit(cache=True)
        def f(x):
            s = 0
            for i in range(x):
                if i % 7 == k: s += i * k
            return s + k
        return f
    a, b = make(1), make(2)
    @njit
    def both(x): return a(x), b(x)
    """


def test_second_body_gets_a_name_of_its_own(project):
    """Within one process: the second function is compiled again, under a random name, and not stored."""
    project.write("lib.py", LIB)
    run = project.good(BLIND + """
    import lib
    print(lib.a(20), lib.b(20), lib.both(20))
    """)
    assert run.out == "25 56 (25, 56)\n"
    stored = [event for event in run.events if event["event"] == "published"]
    assert len(stored) == 1, run.events


def test_second_body_from_the_store(project):
    """What another process stored is not loaded beside a body that is here already."""
    project.write("lib.py", LIB)
    one = project.good(BLIND + """
    import lib
    print(lib.a(20))
    """)
    two = project.good(BLIND + """
    import lib
    print(lib.b(20))
    """)
    assert (one.out, two.out) == ("25\n", "56\n")
    both = project.good(BLIND + """
    import lib
    print(lib.a(20), lib.b(20), lib.both(20))
    """)
    assert both.out == "25 56 (25, 56)\n"
    assert [event["reason"] for event in both.events if event["event"] == "miss"] == ["symbol-conflict"]


def test_bodies_are_the_same_in_every_process(project):
    """Else an entry of one process would be refused by the next."""
    project.write("lib.py", LIB)
    listed = """
        import lib
        lib.both(20)
        from saggar.numba import bodies
        print(sorted((symbol, body.hex()) for symbol, body in bodies._known.items() if "lib4both" in symbol or "make" in symbol))
        """
    outs = {project.good(listed, PYTHONHASHSEED=seed).out for seed in "123"}  # the first compiles; the others are served, and compile the rest
    assert len(outs) == 1 and outs.pop().count("_ZN") >= 3
