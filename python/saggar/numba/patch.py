"""Changes Numba at the places that `points` checks: all of them are patched, or none."""
from __future__ import annotations

import functools
from typing import Any

from . import points

_done = False


def apply() -> None:
    """Changes Numba. Raises points.Unknown if it is not as expected; whatever is raised, nothing is changed then."""
    global _done
    if _done:
        return
    points.check()
    from numba.core import pythonapi
    from numba.np.ufunc import wrappers

    before = [(holder, dict(vars(holder))) for holder in (*points.holders, pythonapi, wrappers)]
    try:
        _change()
    except BaseException:
        for holder, held in before:
            _restore(holder, held)
        raise
    _done = True


def _restore(holder: Any, held: dict[str, Any]) -> None:
    for name, value in dict(vars(holder)).items():
        if name not in held:
            delattr(holder, name)
        elif value is not held[name]:
            setattr(holder, name, held[name])


def _change() -> None:
    from numba.core import base, bytecode, ccallback, cgutils, codegen, dispatcher, itanium_mangler, pythonapi, types
    from numba.core.typing import context
    from numba.np.ufunc import dufunc, gufunc, ufuncbuilder, wrappers

    from . import order, pickles, reproducible, watches

    _dispatchers(dispatcher.Dispatcher)
    _overloads(dispatcher.Dispatcher)
    _pickled(dispatcher.Dispatcher)
    _cfuncs(ccallback)
    _ufuncs(ufuncbuilder, wrappers)
    _loops(dufunc, gufunc)
    _names(bytecode, itanium_mangler, types)
    _generated(cgutils)
    reproducible.apply()
    order.apply(base, context)
    watches.apply(context, base, codegen)
    pickles.apply(base, pythonapi)


def _dispatchers(cls: Any) -> None:
    """What a dispatcher compiles is looked up and stored; each compilation has a frame."""
    from numba.core.caching import NullCache
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target
    from numba.core.sigutils import normalize_signature

    original_enable, original_compile = cls.enable_caching, cls.compile
    from . import bodies, dependencies, frames, inherit, linked
    from .order import load_extensions

    thread = frames._stack
    Frame, Room, wants = frames.Frame, frames.Room, frames.wants

    @functools.wraps(original_enable)
    def enable_caching(self: Any) -> None:
        if getattr(self, "targetdescr", None) is not cpu_target:
            return original_enable(self)
        from .cache import FunctionCache

        self._cache = FunctionCache(self, "function", self.py_func)

    @functools.wraps(original_compile)
    def compile(self: Any, sig: Any) -> Any:
        running = thread.frames
        if not running and isinstance(self._cache, NullCache) and wants(self.py_func.__module__):
            self.enable_caching()
        # Under the lock, so that what is put aside for one thread is not missed by another's compilation.
        if running:
            dependencies.reached(self)
        else:
            load_extensions()
        with global_compiler_lock, Frame(self, sig) as frame, Room():
            inherit.select(self, tuple(normalize_signature(sig)[0]))
            frame.repeats = True
            try:
                result = original_compile(self, sig)
            except bodies.Second:
                frame.doubted = True
                result = original_compile(self, sig)
            if running and (there := self.overloads.get(tuple(normalize_signature(sig)[0]))) is not None:
                dependencies.linked(there.library)
        if not running and self.__dict__.get("_saggar_linked"):
            linked.asked(self, sig)
        return result

    cls.enable_caching = enable_caching
    cls.compile = compile


def _overloads(cls: Any) -> None:
    """What a dispatcher has compiled: settled as it is added, chosen by who asks, set apart where only a caller needs it."""
    from numba.core.sigutils import normalize_signature

    original_add, original_disable, original_get = cls.add_overload, cls.disable_compile, cls.get_overload
    original_reset = cls._reset_overloads
    from . import dependencies, environments, frames, inherit, linked

    thread = frames._stack

    @functools.wraps(original_get)
    def get_overload(self: Any, sig: Any) -> Any:
        args = tuple(normalize_signature(sig)[0])
        if thread.frames and args in self.overloads:
            there = self.overloads[args]
            inherit.select(self, args)
            self.overloads.setdefault(args, there)
        return original_get(self, sig)

    @functools.wraps(original_reset)
    def _reset_overloads(self: Any) -> None:
        inherit.forget(self)
        self.__dict__.pop("_saggar_linked", None)
        original_reset(self)

    @functools.wraps(original_add)
    def add_overload(self: Any, cres: Any) -> None:
        if thread.frames and thread.frames[-1].owner is self:
            environments.settle(cres)
            dependencies.finished(cres, thread.frames[-1].subjects, self)
        if len(thread.frames) > 1 and self._can_compile and linked.set_apart(self, cres):
            return
        original_add(self, cres)

    @functools.wraps(original_disable)
    def disable_compile(self: Any, val: Any = True) -> None:
        linked.insert_all(self)
        original_disable(self, val)

    cls.add_overload = add_overload
    cls.get_overload = get_overload
    cls._reset_overloads = _reset_overloads
    cls.disable_compile = disable_compile


def _pickled(cls: Any) -> None:
    """A pickled dispatcher is the one that its module holds, where they are equal."""
    original_rebuild = cls._rebuild.__func__
    from . import linked

    def _rebuild(cls: Any, **states: Any) -> Any:
        live = _live(cls, states)
        if live is not None:
            return live
        made = original_rebuild(cls, **states)
        linked.insert_all(made)
        return made

    cls._rebuild = classmethod(functools.wraps(original_rebuild)(_rebuild))


def _live(cls: Any, states: dict[str, Any]) -> Any:
    """The dispatcher that a pickled one stands for, if its module holds it unchanged: nothing is compiled again."""
    try:
        uuid, py_func = states["uuid"], states["py_func"]
        if uuid in cls._memo:
            return cls._memo[uuid]
        from numba.core.compiler import Compiler

        from . import codec, functions, identity

        live = codec.live_dispatcher(py_func.__module__, py_func.__qualname__)
        if live is None or type(live) is not cls or live._compiler.pipeline_class is not Compiler:
            return None
        ours = live._reduce_states()
        if functions.options(ours["targetoptions"], ours["locals"]) != functions.options(states["targetoptions"], states["locals"]):
            return None
        if ours["can_compile"] != states["can_compile"] or _signatures(ours["sigs"]) != _signatures(states["sigs"]):
            return None
        content = identity.known_digest(live.py_func)  # with its globals, its closure and its defaults
        if content is None or content != identity.known_digest(py_func):
            return None
        cls._memo[uuid] = live
        return live
    except Exception:
        return None


def _signatures(sigs: Any) -> list[tuple[Any, ...]]:
    return [(sig.return_type, *sig.args) for sig in sigs]


def _cfuncs(ccallback: Any) -> None:
    cls = ccallback.CFunc
    original_compile, original_uncached = cls.compile, cls._compile_uncached
    from .. import process
    from . import frames, order

    def enable_caching(self: Any) -> None:
        from .cache import FunctionCache

        self._cache = FunctionCache(self, "cfunc", self._pyfunc)

    @functools.wraps(original_compile)
    def compile(self: Any) -> None:
        order.load_extensions()
        with frames.Frame(self, self._sig):
            original_compile(self)

    @functools.wraps(original_uncached)
    def _compile_uncached(self: Any) -> Any:
        from . import events, kinds

        started = process.now()
        result = original_uncached(self)
        events.compiled(self._pyfunc, events.is_marked(self), process.now() - started,
                        f"({kinds.short(tuple(self._sig.args))})")
        return result

    cls.enable_caching = functools.wraps(cls.enable_caching)(enable_caching)
    cls.compile = compile
    cls._compile_uncached = _compile_uncached


def _ufuncs(ufuncbuilder: Any, wrappers: Any) -> None:
    from . import dependencies

    cls = ufuncbuilder.UFuncDispatcher
    original_core = cls._compile_core
    original_wrap = ufuncbuilder.build_ufunc_wrapper
    original_init, original_compile = wrappers._GufuncWrapper.__init__, wrappers._GufuncWrapper._compile_wrapper
    from .. import process
    from . import frames, order

    def enable_caching(self: Any) -> None:
        from .cache import FunctionCache

        self.cache = FunctionCache(self, "ufunc", self.py_func)

    @functools.wraps(original_core)
    def _compile_core(self: Any, sig: Any, flags: Any, locals: Any) -> Any:
        from .cache import FunctionCache

        started = process.now()
        before = len(self.overloads)
        order.load_extensions()
        with frames.Frame(self, sig) as frame:
            result = original_core(self, sig, flags, locals)
            if result is not None:
                dependencies.finished(result, frame.subjects, self)
            if frame.started or not isinstance(self.cache, FunctionCache) and len(self.overloads) > before:
                from . import events, kinds

                events.compiled(self.py_func, isinstance(self.cache, FunctionCache), process.now() - started,
                                f"({kinds.short(tuple(result.signature.args))})")
            return result

    @functools.wraps(original_wrap)
    def build_ufunc_wrapper(library: Any, context: Any, fname: str, signature: Any, objmode: bool, cres: Any) -> Any:
        from .wrappers import build_ufunc_wrapper as build

        return build(original_wrap, library, context, fname, signature, objmode, cres)

    @functools.wraps(original_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original_init(self, *args, **kwargs)
        bind = getattr(self.cache, "bind", None)
        if bind is not None:
            bind(self)

    @functools.wraps(original_compile)
    def _compile_wrapper(self: Any, wrapper_name: str) -> Any:
        try:
            return original_compile(self, wrapper_name)
        finally:
            release = getattr(self.cache, "release", None)
            if release is not None:
                release()

    def make_wrapper_cache(py_func: Any) -> Any:
        from .wrappers import GufuncWrapperCache

        return GufuncWrapperCache(py_func)

    cls.enable_caching = functools.wraps(cls.enable_caching)(enable_caching)
    cls._compile_core = _compile_core
    ufuncbuilder.build_ufunc_wrapper = build_ufunc_wrapper
    wrappers._GufuncWrapper.__init__ = __init__
    wrappers._GufuncWrapper._compile_wrapper = _compile_wrapper
    wrappers.GufWrapperCache = make_wrapper_cache


def _loops(dufunc: Any, gufunc: Any) -> None:
    """The loops that ufuncs get as they are asked for."""
    from . import loops

    for cls in (dufunc.DUFunc, gufunc.GUFunc):
        def _compile_for_argtys(self: Any, argtys: Any, return_type: Any = None, *, original: Any = cls._compile_for_argtys) -> Any:
            made = original(self, argtys, return_type)
            loops.added(self, tuple(argtys))
            return made

        cls._compile_for_argtys = functools.wraps(cls._compile_for_argtys)(_compile_for_argtys)


def _names(bytecode: Any, itanium_mangler: Any, types: Any) -> None:
    cls = bytecode.FunctionIdentity
    original_from, original_derive = cls.from_function.__func__, cls.derive
    original_mangle = itanium_mangler.mangle_type_or_value
    from . import frames

    def rename(identity: Any, name: str) -> Any:
        identity.unique_id = name
        identity.unique_name = f"{identity.func_qualname}${name}"
        return identity

    def from_function(cls: Any, pyfunc: Any) -> Any:
        identity = original_from(cls, pyfunc)
        from . import names

        name = names.for_function(identity)
        for prefix in names.GENERATED:
            if identity.func_qualname.startswith(prefix):
                identity.func_qualname = prefix
        return rename(identity, name)

    def derive(self: Any) -> Any:
        identity = original_derive(self)
        from . import names

        return rename(identity, names.derived("derived", str(self.unique_id).encode(), frames.group_of(identity.func)))

    def mangle_type_or_value(typ: Any) -> str:
        if isinstance(typ, types.Type):
            from . import names

            text = names.for_type(typ)
            if text is not None:
                return itanium_mangler.mangle_identifier(text)
        return original_mangle(typ)

    cls.from_function = classmethod(functools.wraps(original_from)(from_function))
    cls.derive = functools.wraps(original_derive)(derive)
    itanium_mangler.mangle_type_or_value = functools.wraps(original_mangle)(mangle_type_or_value)


def _generated(cgutils: Any) -> None:
    """What goes from Numba to LLVM is looked at on its way."""
    original = cgutils.normalize_ir_text
    from . import bodies

    @functools.wraps(original)
    def normalize_ir_text(text: str) -> str:
        if "define " in text:
            bodies.generated(text)
        return original(text)

    cgutils.normalize_ir_text = normalize_ir_text
