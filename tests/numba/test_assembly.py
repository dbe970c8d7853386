"""Code that only one processor can run, written by the program itself: no declared feature says so, and it is not stored."""
import pytest

PROGRAM = """
    import llvmlite.binding as llvm
    from llvmlite import ir
    from numba import njit, types
    from numba.extending import intrinsic
    llvm.initialize_native_asmparser()

    @intrinsic
    def special(context):
        def codegen(context, builder, sig, args):
            {body}
            return context.get_dummy_value()
        return types.void(), codegen

    @njit(cache=True)
    def inner(x):
        special()
        return x + 1

    @njit(cache=True)
    def outer(x):
        return inner(x) * 2

    print(inner(1), outer(1))
    """


@pytest.mark.parametrize("body", [
    'builder.asm(ir.FunctionType(ir.VoidType(), []), "nop", "", [], True)',
    'builder.asm(ir.FunctionType(ir.VoidType(), []), "nop", "", [], False); builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)',
])
def test_inline_assembly_is_not_stored(project, body):
    result = project.good(PROGRAM.format(body=body))
    assert result.out == "2 4\n"
    assert result.names("not-stored") == ["inner", "outer"]
    assert {e["detail"] for e in result.of("not-stored")} == {"it asks for instructions of one processor"}
    assert project.good(PROGRAM.format(body=body)).names("compiled") == ["inner", "outer"]


def test_an_intrinsic_without_it_is_stored(project):
    project.cold_and_warm(PROGRAM.format(body='builder.add(ir.Constant(ir.IntType(64), 1), ir.Constant(ir.IntType(64), 2))'))
