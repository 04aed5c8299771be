//! Chance that can be repeated: every part of the campaign draws from a stream of its own, which the seed and the part's name decide.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// The stream of one part.
pub(crate) fn stream(seed: u64, part: &str) -> ChaCha8Rng {
    // FNV-1a: the same everywhere and for ever.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in part.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ChaCha8Rng::seed_from_u64(seed ^ hash)
}

/// A number for a process of its own.
pub(crate) fn number(seed: u64, part: &str) -> u64 {
    use rand::Rng as _;
    stream(seed, part).random()
}
