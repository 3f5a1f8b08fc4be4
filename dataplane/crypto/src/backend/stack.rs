//! What calls leave behind below the stack.

use zeroize::optimization_barrier;

/// Overwrites at least so many bytes below the frame of the caller: as many as those needed whom it has called. Up to 24 KiB.
///
/// When there are more round keys than registers, the compiler keeps some of them on the stack, where no variable of ours is.
/// `tests/stack.rs` looks there; that the numbers of our callers are enough is told by `cargo test --release`.
#[inline(always)]
pub(super) fn wipe(bytes: usize) {
    const KIB: usize = 1 << 10;
    if cfg!(debug_assertions) {
        // Checks make frames larger.
        return overwrite::<{ 48 * KIB }>();
    }
    match bytes.div_ceil(4 * KIB) {
        0 | 1 => overwrite::<{ 4 * KIB }>(),
        2 => overwrite::<{ 8 * KIB }>(),
        3 => overwrite::<{ 12 * KIB }>(),
        4 => overwrite::<{ 16 * KIB }>(),
        5 => overwrite::<{ 20 * KIB }>(),
        _ => overwrite::<{ 24 * KIB }>(),
    }
}

#[inline(never)]
fn overwrite<const BYTES: usize>() {
    let zeroes = [0_u8; BYTES];
    optimization_barrier(&zeroes);
}
