"""Options of the decorators and settings of Numba, given where Numba's cache does not look."""
from ..model import ANY, Step, case, edit, names

KIND = "Compiler options"
SETTING = "Settings of Numba"


def option(name: str, title: str, issues: str, text: str, old: str, new: str, body: str, call: str, **more: object) -> None:
    """One option whose value stands in another file."""
    case(f"option_{name}", KIND, title, issues, {
        "lib.py": f"from .settings import VALUE\n@njit(cache=True, {text})\n{body}",
        "settings.py": f"from numba import float32, int64\nVALUE = {old}"},
         call, edit("settings.py", f"VALUE = {old}", f"VALUE = {new}"), needed="f", **more)


NAN = "def f(x): return x != x"
AT = "def f(a, i): return a[i]"
ADD = "def f(x): return x + 1"
option("fastmath", "fastmath=True in place of False", "numba#6845, pytensor#1810", "fastmath=VALUE", "False", "True", NAN,
       "lib.f(np.nan)")
option("fastmath_set", "a flag more in the set of fast-math flags", "numba#6845", "fastmath=VALUE", '{"nsz"}', '{"nsz", "nnan"}', NAN,
       "lib.f(np.nan)")
option("boundscheck", "boundscheck=True in place of False", "numba#6845", "boundscheck=VALUE", "False", "True", AT,
       "lib.f(np.arange(9.0)[:3], 5)")
option("error_model", "error_model", "numba#6845", "error_model=VALUE", '"numpy"', '"python"', "def f(x): return 1.0 / x", "lib.f(0.0)")
option("locals", "locals=", "numba#6845", "locals={'y': VALUE}", "float32", "int64", "def f(x):\n    y = x + 1\n    return y",
       "lib.f(0.5)")
option("nrt", "_nrt=False", "numba#6845", "_nrt=VALUE", "True", "False", "def f(n): return np.zeros(n)", "lib.f(2)")
option("nogil", "nogil=True in place of False", "numba#6845", "nogil=VALUE", "False", "True", ADD, "lib.f(10)", differs=False)
option("debug", "debug=True in place of False", "numba#6845", "debug=VALUE", "False", "True", ADD, "lib.f(10)", differs=False,
       refusal=True)
option("parallel", "parallel=True in place of False", "numba#6845", "parallel=VALUE", "False", "True",
       "def f(n):\n    return np.ones(n) + np.arange(n)", "lib.f(4)", differs=False)
option("forceinline", "forceinline=True in place of False", "numba#6845", "forceinline=VALUE", "False", "True", ADD, "lib.f(10)",
       differs=False)
case("option_of_callee", KIND, "an option of a callee in another file", "numba#6845", {
    "lib.py": "from .other import callee\n@njit(cache=True)\ndef f(x): return callee(x)",
    "other.py": "@njit(cache=True, error_model='numpy')\ndef callee(x): return 1.0 / x"}, "lib.f(0.0)",
     edit("other.py", "'numpy'", "'python'"), needed="f callee")
case("option_inline_decided", KIND, "what a function given as inline= reads", "", {
    "lib.py": "from .other import div\n@njit(cache=True)\ndef f(x): return div(x)",
    "other.py": """
    from . import settings
    def decide(expr, caller, callee): return settings.Settings.inline
    @njit(inline=decide, error_model='numpy')
    def div(x): return 1.0 / x
    """, "settings.py": "class Settings: inline = False"}, "lib.f(0.0)", edit("settings.py", "False", "True"), needed="f")
case("option_inherited", KIND, "an option of the caller that a callee takes over, in processes of their own", "", {
    "lib.py": "from .other import callee\n@njit(cache=True, error_model='numpy')\ndef f(x): return callee(x)",
    "other.py": "@njit(cache=True)\ndef callee(x): return 1.0 / x"}, "lib.f(0.0)", needed="callee", then="other.callee(0.0)",
     differs=True)
case("option_unset", KIND, "an option is written out with its default value", "", "@njit(cache=True)\ndef f(x): return x + 1",
     "lib.f(10)", edit("lib.py", "cache=True", "cache=True, nogil=False"))
case("signature_added", KIND, "a second explicit signature", "numba#9316",
     "@njit(['int64(int64)'], cache=True)\ndef f(x): return x + 1", "lib.f(10)",
     edit("lib.py", "['int64(int64)']", "['int64(int64)', 'float64(float64)']"), needed="f", differs=False)
case("pipeline_class", KIND, "a compiler pipeline of the user's", "", {
    "lib.py": "from .other import Own\n@njit(cache=True, pipeline_class=Own)\ndef f(x): return x + 1",
    "other.py": """
    from numba.core import ir
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
    from numba.core.compiler_machinery import FunctionPass, register_pass
    from numba.core.untyped_passes import IRProcessing
    @register_pass(mutates_CFG=False, analysis_only=False)
    class Change(FunctionPass):
        _name = "catalogue"
        def __init__(self): FunctionPass.__init__(self)
        def run_pass(self, state):
            for block in state.func_ir.blocks.values():
                for statement in block.find_insts(ir.Assign):
                    if isinstance(statement.value, ir.Const) and statement.value.value == 1:
                        statement.value = ir.Const(5, statement.loc)
            return True
    class Own(CompilerBase):
        def define_pipelines(self):
            pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
            pipeline.add_pass_after(Change, IRProcessing)
            pipeline.finalize()
            return [pipeline]
    """}, "lib.f(10)", edit("other.py", "ir.Const(5", "ir.Const(6"), needed="f")

SIMPLE = "@njit(cache=True)\ndef f(a, i): return a[i] * 2"
OUTSIDE = "lib.f(np.arange(9.0)[:3], 5)"


def setting(variable: str, value: str, title: str, issues: str, needed: str, body: str = SIMPLE, call: str = "lib.f(np.arange(9.0)[:3], 1)",
            differs: bool = False, name: str = "", **more: object) -> None:
    case("set_" + (name or variable[6:].lower()), SETTING, title or f"{variable}={value}", issues, body, call, needed=needed, env={variable: value},
         differs=differs, **more)


setting("NUMBA_BOUNDSCHECK", "1", "", "numba#6845", "f", call=OUTSIDE, differs=True)
LATE = "import os\nif 'LATE' in os.environ: os.environ['NUMBA_BOUNDSCHECK'] = '1'\n" + SIMPLE  # when Numba is imported already
case("set_late", SETTING, "NUMBA_BOUNDSCHECK=1, set by the program after it imported Numba", "", LATE, OUTSIDE, env={"LATE": "1"}, needed="f",
     differs=True, alone=True)
case("set_late_before", SETTING, "NUMBA_BOUNDSCHECK=1 was set so by the program that filled the cache", "", LATE, OUTSIDE,
     steps=(Step(OUTSIDE, ANY, env=(("LATE", "1"),)), Step(OUTSIDE, names("f")), Step(OUTSIDE)), differs=True, alone=True)
setting("NUMBA_OPT", "0", "", "numba#10821", "f")
setting("NUMBA_OPT", "max", "", "numba#10821", "f", name="opt_max")
setting("NUMBA_SLP_VECTORIZE", "1", "", "numba#10821", "f")
setting("NUMBA_LOOP_VECTORIZE", "0", "", "numba#10821", "f")
setting("NUMBA_DEBUGINFO", "1", "", "numba#10821", "f")
setting("NUMBA_EXTEND_VARIABLE_LIFETIMES", "1", "", "numba#10821", "f")
setting("NUMBA_DEBUG_NRT", "1", "", "", "f", body="@njit(cache=True)\ndef f(n): return np.zeros(n)", call="lib.f(2)")
setting("NUMBA_DEBUG_NRT_STACK_LIMIT", "1", "", "numba#8704", "f", body="@njit(cache=True)\ndef f(n): return np.zeros(n)",
        call="lib.f(2)", since=(0, 66))
setting("NUMBA_LLVM_REFPRUNE_FLAGS", "per_bb", "", "numba#10821", "f")
for variable, value in (("NUMBA_NUM_THREADS", "1"), ("NUMBA_THREADING_LAYER", "workqueue"), ("NUMBA_CACHE_DIR", "{work}/elsewhere"),
                        ("NUMBA_DISABLE_INTEL_SVML", "1"), ("NUMBA_OPT", "3")):
    setting(variable, value, f"{variable}={value.replace('{work}/', '')}, which decides nothing", "", "",
            name=variable[6:].lower() + ("_same" if variable == "NUMBA_OPT" else ""))
case("set_messages", SETTING, "settings of messages, which decide nothing", "", SIMPLE, "lib.f(np.arange(9.0)[:3], 1)", env={
    "NUMBA_WARNINGS": "1", "NUMBA_FULL_TRACEBACKS": "1", "NUMBA_COLOR_SCHEME": "dark_bg", "NUMBA_CAPTURED_ERRORS": "new_style",
    "NUMBA_DISABLE_PERFORMANCE_WARNINGS": "1", "NUMBA_DEVELOPER_MODE": "1", "NUMBA_DISABLE_CUDA": "1"})
