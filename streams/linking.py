"""How compiled functions are put together: numba's parts, used so that a cold start stays short.

numba optimizes every function with all that it calls and makes each executable, though only entries are called from
outside; and it passes every array of a named tuple at every call as some ten numbers. Here kernel functions are code that is
linked into the entries and optimized there, once, and named tuples go by their address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.imputils import lower_getattr_generic
from numba.core.typed_passes import NativeLowering
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import populate_array

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_BYTES: Final = 64
"""What a processor reads of memory at once."""


class _Whole(JITCodeLibrary):
    """The code of an entry, with that of all kernel functions that it uses."""

    def add_linking_library(self, library: Any) -> None:
        """Take in a library that is called from here, and what that calls."""
        super().add_linking_library(library)
        if isinstance(library, _Part):
            self._linking_libraries += library._linking_libraries  # noqa: SLF001


class _Part(_Whole):
    """The code of a kernel function: linked into the entries that use it, never optimized or made executable alone."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout  # noqa: SLF001

    def finalize(self) -> None:
        """Be ready to be linked."""
        self._raise_if_finalized()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):
    _name = "part_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        found = state["cr"]
        key: Any = [].append  # numba wants a built-in method here, only to tell functions apart
        state.targetctx.insert_user_function(key, found.fndesc, [state.library])
        state["cr"] = found._replace(cfunc=key)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _WholeLowering(NativeLowering):
    _name = "whole_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _Whole(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


def _compiler(lowering: type[NativeLowering]) -> type[CompilerBase]:
    class Compiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
            passes.passes = [
                (lowering if step is NativeLowering else step, what) for step, what in passes.passes
            ]
            passes._finalized = False  # noqa: SLF001
            passes.finalize()
            return [passes]

    return Compiler


class Reference(types.Type):
    """A named tuple by its address; its fields are read where they are used."""

    def __init__(self, target: types.NamedTuple) -> None:
        self.target = target
        digest = crc32(
            target.name.encode()
        )  # names of types are part of every symbol: short ones compile faster
        super().__init__(name=f"Reference({target.instance_class.__name__}:{digest:08x})")


@register_model(Reference)
class _ReferenceModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Reference) -> None:
        super().__init__(manager, kind, manager.lookup(kind.target).get_value_type().as_pointer())


@infer_getattr
class _ReferenceFields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, kind: Reference, field: str) -> types.Type | None:
        if field not in kind.target.fields:
            return None
        found = kind.target.types[kind.target.fields.index(field)]
        return Reference(found) if isinstance(found, types.NamedTuple) else found


@lower_getattr_generic(Reference)
def _read_field(_: Any, builder: Any, kind: Reference, address: Any, field: str) -> Any:
    number = kind.target.fields.index(field)
    found = cgutils.gep_inbounds(builder, address, 0, number)
    return found if isinstance(kind.target.types[number], types.NamedTuple) else builder.load(found)


@intrinsic
def address(_: Any, value: types.NamedTuple) -> Any:
    """Put a named tuple on the caller's stack and return its address."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return cgutils.alloca_once_value(builder, arguments[0])

    return Reference(value)(value), generate


@intrinsic
def copy_bytes(_: Any, out: types.Array, at: Any, data: types.Array, start: Any, count: Any) -> Any:
    """Copy ``count`` bytes of ``data``, from ``start`` on, to ``out`` at ``at``; both are contiguous (bytes,) uint8."""
    del at, start, count

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, offset, source, first, size = arguments
        target = context.make_array(signature.args[0])(context, builder, to).data
        origin = context.make_array(signature.args[2])(context, builder, source).data
        cgutils.raw_memcpy(builder, builder.gep(target, [offset]), builder.gep(origin, [first]), size, 1)
        return context.get_dummy_value()

    return types.none(out, types.int64, data, types.int64, types.int64), generate


@intrinsic
def fetch_ahead(_: Any, table: types.Array, row: Any) -> Any:
    """Let row ``row`` of a contiguous table be brought near while other work goes on."""
    del row

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        start = builder.gep(
            builder.bitcast(array.data, cgutils.voidptr_t), [builder.mul(arguments[1], stride)]
        )
        number = cgutils.int32_t
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        for_reading, to_keep, data = number(0), number(3), number(1)
        with cgutils.for_range_slice(builder, stride.type(0), stride, stride.type(LINE_BYTES)) as (at, _):
            builder.call(fetch, [builder.gep(start, [at]), for_reading, to_keep, data])
        return context.get_dummy_value()

    return types.none(table, types.int64), generate


@intrinsic
def contiguous_row(_: Any, table: types.Array, row: Any) -> Any:
    """Return row ``row`` of a table as an array whose cells are known to lie side by side."""
    del row
    kind = types.Array(table.dtype, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        found = context.make_array(kind)(context, builder)
        stride, cells = (
            cgutils.unpack_tuple(builder, each)[at] for at, each in enumerate((array.strides, array.shape))
        )
        start = builder.gep(
            builder.bitcast(array.data, cgutils.voidptr_t), [builder.mul(arguments[1], stride)]
        )
        populate_array(
            found,
            data=builder.bitcast(start, array.data.type),
            shape=[cells],
            strides=[array.itemsize],
            itemsize=array.itemsize,
            meminfo=None,
        )
        return found._getvalue()  # noqa: SLF001

    return kind(table, types.int64), generate


# Without reference counts: the kernel allocates nothing, and counting every array of `Cells` and `Plan` at every call costs
# ten times the work itself. Without wrappers: only entries are called from outside.
_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
_PART: Final = _OPTIONS | {"no_cpython_wrapper": True, "pipeline_class": _compiler(_PartLowering)}
_WHOLE: Final = _OPTIONS | {"cache": True, "pipeline_class": _compiler(_WholeLowering)}


def kernel(function: Callable[..., object]) -> Any:
    """Compile a kernel function, as part of the entries that call it."""
    return numba.njit(**_PART)(function)


def entry(function: Callable[..., object]) -> Any:
    """Compile an entry, with all kernel functions that it calls."""
    return numba.njit(**_WHOLE)(function)
