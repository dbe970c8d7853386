"""A function that Python runs while Numba compiles, and that asks what belongs to the process or the machine, is not stored; what
Numba compiles into the code is asked anew where it runs, and is."""

HEAD = """
    import ctypes, datetime, functools, gc, importlib.metadata, multiprocessing, operator, os, os.path, pathlib, platform, random, socket, sys
    import tempfile, threading, time, uuid
    from os import cpu_count as count, getcwd
    import numpy as np
    from numba import cfunc, get_num_threads, get_thread_id, njit, objmode, threading_layer, types
    from numba.extending import intrinsic, overload, register_jitable
    from llvmlite import ir
    A, B, lib = np.arange(4.0), [1, 2], sys.modules[__name__]
    TABLE, ask = {"cwd": os.getcwd}, getcwd
    def helper(): return os.getpid()
    def name(path=os.getcwd): return path()
    @cfunc("f8(f8)")
    def callback(x): return x
    """
ONE = """
    def g{0}(x): pass
    @overload(g{0})
    def ov{0}(x):
        v = {1}
        return lambda x: x + 1
    @njit(cache=True)
    def f{0}(x): return g{0}(x)
    """
REFUSED = {
    "len(os.sched_getaffinity(0))": "os.sched_getaffinity", "os.cpu_count()": "os.cpu_count", "count()": "os.cpu_count",
    "ask()": "os.getcwd", "multiprocessing.cpu_count()": "cpu_count", "os.getpid()": "os.getpid", "helper()": "os.getpid", "name()": "os.getcwd",
    "list(map(id, B))": "builtins.id", "id(B)": "builtins.id", "open(__file__).read()": "io.open", "os.path.exists('/')": "genericpath.exists",
    "os.path.abspath('.')": "posixpath.abspath", "os.listdir('/')": "os.listdir", "platform.node()": "platform.node",
    "socket.gethostname()": "_socket.gethostname", "time.time()": "time.time", "time.perf_counter_ns()": "time.perf_counter_ns",
    "datetime.datetime.now()": "datetime.datetime.now", "datetime.date.today()": "datetime.date.today", "pathlib.Path.cwd()": "Path.cwd",
    "uuid.uuid4()": "uuid.uuid4", "threading.get_ident()": "_thread.get_ident", "gc.get_objects()": "gc.get_objects",
    "sys.getrefcount(B)": "sys.getrefcount", "tempfile.gettempdir()": "tempfile.gettempdir", "get_num_threads()": "get_num_threads",
    "get_thread_id()": "get_thread_id", "A.ctypes.data": "ctypes", "A[1:].ctypes.data": "ctypes", "A.__array_interface__['data']": "__array_interface__",
    "A[1:].__array_interface__": "__array_interface__", "ctypes.addressof(ctypes.c_int(1))": "_ctypes.addressof", "callback.address": "address",
    "__import__('os') and [i for i in [1] if os.getpid()]": "os.getpid", "TABLE['cwd']()": "os.getcwd",
    "np.random.random()": "random numbers", "random.randint(1, 6)": "random numbers",
    "importlib.metadata.version('numba')": "importlib.metadata.version", "functools.partial(os.getcwd)()": "os.getcwd",
}
KEPT = ["os.path.join('a', 'b')", "os.path.basename('a/b')", "os.fspath('a')", "platform.system()", "datetime.timedelta(1)",
        "uuid.uuid5(uuid.NAMESPACE_DNS, 'a')", "isinstance(B, os.PathLike)", "sys.version_info[:2]", "ctypes.sizeof(ctypes.c_int)", "len(A)",
        "lib.ctypes is None", "time.struct_time is None"]


def test_what_an_overload_asks(project):
    """By the object behind the name, whatever it is called."""
    asked = [*REFUSED, *KEPT]
    project.write("lib.py", HEAD + "".join(ONE.format(number, text) for number, text in enumerate(asked)))
    program = f"import lib\nprint(*[getattr(lib, f'f{{i}}')(1) for i in range({len(asked)})])"
    first = project.good(program)
    assert first.out.split() == ["2"] * len(asked)
    reasons = {int(event["group"].rpartition(":f")[2]): event["detail"] for event in first.of("not-stored")}
    assert [(text, reasons.get(number)) for number, text in enumerate(asked) if (number in reasons) != (text in REFUSED)] == []
    assert [(text, reasons[number]) for number, text in enumerate(REFUSED) if REFUSED[text] not in reasons[number]] == []
    again = project.good(program)
    assert [asked[int(name[1:])] for name in again.names("compiled") if name[0] == "f" and asked[int(name[1:])] in KEPT] == []


def test_imports_inside(project):
    """Names that an overload's body imports itself."""
    project.write("lib.py", HEAD + ONE.format(0, "1").replace("v = 1", "from os import getpid as v; v()")
                  + ONE.format(1, "1").replace("v = 1", "import os; v = os.getcwd(); v = (v, v)"))
    result = project.good("from lib import f0, f1\nprint(f0(1), f1(1))")
    assert result.out == "2 2\n" and result.names("not-stored") == ["f0", "f1"]


def test_an_address_in_an_intrinsic(project):
    """An address that an intrinsic puts into its code is of this process; its code generator is never compiled by Numba."""
    project.write("lib.py", HEAD + """
    @intrinsic
    def address(context):
        def code(context, builder, sig, args): return ir.Constant(ir.IntType(64), id(B))
        return types.int64(), code
    @intrinsic
    def data(context):
        def code(context, builder, sig, args): return ir.Constant(ir.IntType(64), A.ctypes.data)
        return types.int64(), code
    @intrinsic
    def threads(context):
        def code(context, builder, sig, args): return ir.Constant(ir.IntType(64), get_num_threads())
        return types.int64(), code
    @njit(cache=True)
    def f(): return address()
    @njit(cache=True)
    def g(): return data()
    @njit(cache=True)
    def h(): return threads()
    """)
    program = "import lib\nprint(lib.f() == id(lib.B), lib.g() == lib.A.ctypes.data, lib.h() == lib.get_num_threads())"
    assert [project.good(program, NUMBA_NUM_THREADS=number).out for number in "21"] == ["True True True\n"] * 2


def test_what_numba_compiles_is_kept(project):
    """The number of threads, random numbers, the time in object mode: asked where the code runs."""
    project.write("lib.py", HEAD + """
    @register_jitable
    def threads(): return get_num_threads()
    def inner(x): pass
    @overload(inner)
    def ov_inner(x): return lambda x: threads() + get_num_threads() + get_thread_id()
    def timed(x): pass
    @overload(timed)
    def ov_timed(x):
        def impl(x):
            with objmode(now="f8"): now = time.time()
            return now
        return impl
    def data(x): pass
    @overload(data)
    def ov_data(x): return lambda x: x.ctypes.data != 0
    @njit
    def callee(): return get_num_threads()
    def by_callee(x): pass
    @overload(by_callee)
    def ov_by_callee(x): return lambda x: callee()
    def noise(x): pass
    @overload(noise)
    def ov_noise(x): return lambda x: np.random.random() < 1 and random.random() < 1
    @njit(cache=True)
    def f(x): return inner(x), by_callee(x)  # never stored by Numba
    @njit(cache=True)
    def g(x): return timed(x)
    @njit(cache=True)
    def h(a): return data(a)
    @njit(cache=True)
    def k(x): return noise(x)
    """)
    program = "import lib, time\nprint(lib.f(1), lib.g(1) > time.time() - 30, lib.h(lib.A), lib.k(1))"
    cold = project.good(program)
    assert cold.out == "(4, 2) True True True\n" and not [event for event in cold.of("not-stored") if "asks for" in event["detail"]]
    warm = project.good(program, NUMBA_NUM_THREADS="1")
    assert warm.out == "(2, 1) True True True\n" and not set(warm.names("compiled")) & {"g", "h", "k"}
