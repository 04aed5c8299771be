//! Repeatable chance: every part of the campaign draws from a stream of its own, determined by the seed and the part's name.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Returns the random stream of one part.
pub(crate) fn stream(seed: u64, part: &str) -> ChaCha8Rng {
    // FNV-1a: the same on every machine and in every version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in part.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ChaCha8Rng::seed_from_u64(seed ^ hash)
}

/// Returns a seed for another process.
pub(crate) fn number(seed: u64, part: &str) -> u64 {
    use rand::Rng as _;
    stream(seed, part).random()
}
