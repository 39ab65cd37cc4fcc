"""Eight alignment matrices side by side: one column of all of them a step.

Myers' bit vectors (Myers 1999, in the form of Hyyrö 2003) hold 64 rows of a column in a machine
word: bit i says whether a value is one more, or one less, than that of the row above. Eight
matrices of one query lie in one vector of words, so that a processor's vector unit advances them
together; compilers do not find that by themselves, hence the hand-written vector code. It is
generic: it runs on any processor, with as many lanes an instruction as that has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from seqsearch.dna.digests import UInt64
from seqsearch.tables import Int64, UInt8

LANES = 8
SYMBOLS = 16  # a base is a set of A, C, G, T, one bit each
WORDS = 2 * LANES  # of a block in `state` and in `store`
COST, BEST, AT, DROP, LENGTH = range(5)  # rows of `ends`

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)


@njit(nogil=True, cache=True)
def fill(
    match: UInt64,
    texts: UInt8,
    steps: UInt64,
    bit: int,
    first: int,
    last: int,
    state: UInt64,
    store: UInt64,
    ends: Int64,
) -> None:
    """Advance the matrices from column `first` to column `last`, counted from 0.

    Parameters
    ----------
    match : (blocks, SYMBOLS) uint64
        Bit i of block b: whether row 64 b + i, a base of the query, agrees with a symbol.
    texts : (columns, LANES) uint8
        Symbols of the references; 0 behind their ends.
    steps : (2, LANES) uint64
        By how much row 0 rises into even and odd columns.
    bit : int
        Of the last row in the last block.
    state : (blocks, WORDS) uint64
        Where the column before rises (first half) and falls; changed in place.
    store : (columns, WORDS * blocks) uint64
        Receives from row 0 on, a column each: where the diagonal does not rise, where the column
        rises.
    ends : (5, LANES) int64
        The cost of ending in the last row: that of the column before (`COST`), the best one and
        its column (`BEST`, `AT`), how much cheaper each column makes it (`DROP`), columns of each
        lane (`LENGTH`). Costs are in half edits.
    """
    for column in range(first, last):
        _advance(  # type: ignore[call-arg]
            match, texts[column], steps[column & 1], state, store[column - first], ends,
            len(match), bit, column + 1,
        )  # fmt: skip


@intrinsic
def _advance(
    _typing: Any,
    match: Any,
    symbols: Any,
    step: Any,
    state: Any,
    store: Any,
    ends: Any,
    blocks: Any,
    bit: Any,
    column: Any,
) -> Any:
    """Advance by one column; arguments as of `fill`, arrays contiguous."""
    arrays = (match, symbols, step, state, store, ends)
    signature = types.void(*arrays, blocks, bit, column)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointers = [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[:6], given[:6], strict=True)
        ]
        blocks, bit, column = given[6:]
        rise, fall = _blocks(builder, pointers[:5], blocks)
        _ends(builder, pointers[5], rise, fall, bit, column)
        return context.get_dummy_value()

    return signature, generate


def _blocks(b: Any, pointers: list[Any], blocks: Any) -> tuple[Any, Any]:
    """Generate the loop over blocks; returns where rows of the last one rise, and fall.

    Names follow Hyyrö: pv, mv where the column rises and falls, ph, mh where the row does, d0
    where the diagonal stays.
    """
    match, symbols, step, state, store = pointers
    rise, fall, above, below = (_variable(b) for _ in range(4))
    b.store(_load(b, step, _int(0)), above)
    b.store(_all(0), below)
    codes = [b.zext(b.load(b.gep(symbols, [_int(lane)])), _WORD) for lane in range(LANES)]
    with cgutils.for_range(b, blocks) as loop:
        row = b.gep(match, [b.mul(loop.index, _int(SYMBOLS))])
        equal = ir.Constant(_VECTOR, ir.Undefined)
        for lane, code in enumerate(codes):
            place = ir.Constant(ir.IntType(32), lane)
            equal = b.insert_element(equal, b.load(b.gep(row, [code])), place)
        at = b.mul(loop.index, _int(WORDS))
        behind = b.add(at, _int(LANES))
        pv, mv = _load(b, state, at), _load(b, state, behind)
        carry_up, carry_down = b.load(above), b.load(below)
        equal = b.or_(equal, carry_down)
        summed = b.xor(b.add(b.and_(equal, pv), pv), pv)
        d0 = b.or_(b.or_(summed, equal), mv)
        ph = b.or_(mv, b.not_(b.or_(d0, pv)))
        mh = b.and_(d0, pv)
        b.store(ph, rise)
        b.store(mh, fall)
        b.store(b.lshr(ph, _all(63)), above)
        b.store(b.lshr(mh, _all(63)), below)
        up = b.or_(b.shl(ph, _all(1)), carry_up)
        down = b.or_(b.shl(mh, _all(1)), carry_down)
        risen = b.or_(down, b.not_(b.or_(d0, up)))
        _save(b, risen, state, at)
        _save(b, b.and_(d0, up), state, behind)
        _save(b, d0, store, at)
        _save(b, risen, store, behind)
    return b.load(rise), b.load(fall)


def _ends(b: Any, ends: Any, rise: Any, fall: Any, bit: Any, column: Any) -> None:
    """Generate the cost of ending here, in the last row, and whether it is the best so far."""
    bits, one = _spread(b, bit), _all(1)
    up = b.and_(b.lshr(rise, bits), one)
    down = b.and_(b.lshr(fall, bits), one)
    rows = [_load(b, ends, _int(row * LANES)) for row in range(5)]
    change = b.sub(b.shl(b.sub(up, down), one), rows[DROP])
    cost = b.add(rows[COST], change)
    columns = _spread(b, column)
    is_better = b.and_(
        b.icmp_signed("<", cost, rows[BEST]), b.icmp_signed("<=", columns, rows[LENGTH])
    )
    _save(b, cost, ends, _int(COST * LANES))
    _save(b, b.select(is_better, cost, rows[BEST]), ends, _int(BEST * LANES))
    _save(b, b.select(is_better, columns, rows[AT]), ends, _int(AT * LANES))


def _variable(b: Any) -> Any:
    return cgutils.alloca_once(b, _VECTOR)  # type: ignore[no-untyped-call]


def _int(value: int) -> Any:
    return ir.Constant(_WORD, value)


def _all(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _spread(b: Any, value: Any) -> Any:
    """Generate a vector with one value in all lanes."""
    vector = ir.Constant(_VECTOR, ir.Undefined)
    for lane in range(LANES):
        vector = b.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def _load(b: Any, base: Any, offset: Any) -> Any:
    loaded = b.load(b.bitcast(b.gep(base, [offset]), _VECTOR.as_pointer()))
    loaded.align = 8
    return loaded


def _save(b: Any, vector: Any, base: Any, offset: Any) -> None:
    b.store(vector, b.bitcast(b.gep(base, [offset]), _VECTOR.as_pointer())).align = 8
