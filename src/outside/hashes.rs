//! Hashes of texts that grow and shrink at their ends: of a text that is known by a hash, every place is found in one walk.

/// A prime, so that texts that differ have the same hash as good as never. If they do, a text is masked without need.
pub(super) const MODULUS: u64 = (1 << 61) - 1;
pub(super) const BASE: u64 = 0x0f2b_6a19_c4d3_857d;

/// The hash of a text and one more character.
pub(super) fn appended(hash: u64, character: char) -> u64 {
    (product(hash, BASE) + u64::from(u32::from(character))) % MODULUS
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are smaller than the modulus")]
pub(super) fn product(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    let folded = (product as u64 & MODULUS) + (product >> 61) as u64;
    if folded >= MODULUS { folded - MODULUS } else { folded }
}
