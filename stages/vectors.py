"""What numba has no words for: loads from anywhere in bytes, sixty-four comparisons at once, counts of bits.

LLVM makes of each what the processor has: with AVX-512 a block of 64 bytes is compared in one instruction, with AVX2 in
two, with NEON in four.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no hints
from numba import extending, njit
from numba import types as numba_types
from numpy.typing import NDArray

intrinsic: Any = extending.intrinsic  # Any: numba's hints count the context that it passes as an argument of the caller
types: Any = numba_types  # Any: they have no hints
BLOCK = 64  # bytes, and bits of a mask
_WORD = ir.IntType(64)
_BLOCK = ir.VectorType(ir.IntType(8), BLOCK)


def _constant(byte: int) -> ir.Constant:
    return ir.Constant(_BLOCK, [byte] * BLOCK)


def _load(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:  # Any: numba's and llvmlite's
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    place = builder.gep(array.data, [arguments[1]])
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=1)


@intrinsic  # type: ignore[untyped-decorator]
def load_eight(_: Any, data: Any, at: Any) -> Any:
    """Returns data[at:at + 8] as one number, little-endian; they must be there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(context, builder, signature, arguments, _WORD)

    return types.uint64(data, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_masks(_: Any, data: Any, at: Any) -> Any:
    """Returns, as bits, which of data[at:at + 64] are letters, digits, spaces, newlines, one of .!?, and not ASCII."""
    masks = types.UniTuple(types.uint64, 6)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _load(context, builder, signature, arguments, _BLOCK)

        def within(number: Any, first: int, amount: int) -> Any:
            return builder.icmp_unsigned("<", builder.sub(number, _constant(first)), _constant(amount))

        def equal(byte: str) -> Any:
            return builder.icmp_unsigned("==", block, _constant(ord(byte)))

        found = (
            within(builder.or_(block, _constant(32)), ord("a"), 26),
            within(block, ord("0"), 10),
            equal(" "),
            equal("\n"),
            builder.or_(builder.or_(equal("."), equal("!")), equal("?")),
            builder.icmp_signed("<", block, _constant(0)),
        )
        return context.make_tuple(builder, masks, [builder.bitcast(bits, _WORD) for bits in found])

    return masks(data, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def first_bit(_: Any, bits: Any) -> Any:
    """Returns the place of the lowest bit that is set, 64 if none is."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def bits_set(_: Any, bits: Any) -> Any:
    """Returns how many bits are set."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


Masks = tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]


@njit(cache=True, nogil=True)
def masks(data: NDArray[np.uint8], at: int, stop: int, tail: NDArray[np.uint8]) -> Masks:
    """Returns `load_masks` of data[at:at + 64], nothing for what is at or after `stop`; `tail` is room for 64 bytes."""
    if at + BLOCK <= stop:
        found: Masks = load_masks(data, at)
        return found
    for place in range(BLOCK):
        tail[place] = data[at + place] if at + place < stop else 0
    last: Masks = load_masks(tail, 0)
    return last
