//! Recognises secrets that are not secret: placeholders from documentation, and values that anyone would guess.

/// Words by which documentation marks the place of a secret.
const SIGNS: [&str; 9] = [
    "your_",
    "your-",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "replace_me",
    "example",
    "encryption_key",
];

/// Returns whether a text is what a guide prints in place of a secret, such as `your_32_character_encryption_key_here`.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.ends_with("_here") || lower.contains('<') || SIGNS.iter().any(|sign| lower.contains(sign))
}

/// The minimum number of different bytes among the 32 of a real key. Random bytes have fewer less than once in 10^40 times,
/// and the characters of 32 random hex digits less than once in 10^12 times.
const FEWEST_DIFFERENT: usize = 6;

/// Returns whether bytes follow a pattern: one value, few values, a short period, or an even step such as 0, 1, 2, 3.
pub(crate) fn is_pattern(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            *slot = true;
        }
    }
    let few = seen.iter().filter(|seen| **seen).count() < FEWEST_DIFFERENT.min(bytes.len());
    let periodic =
        (1..=bytes.len() / 2).any(|period| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b));
    let mut steps = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .map(|(a, b)| b.wrapping_sub(*a));
    let even = steps.next().is_some_and(|first| steps.all(|step| step == first));
    few || periodic || even
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_guides_are_placeholders() {
        for text in [
            "your_32_character_encryption_key_here",
            "sk_test_your_stripe_secret_key_here",
            "whsec_your_stripe_webhook_secret_here",
            "ChangeMe-ChangeMe-ChangeMe-12345",
            "<32 bytes>",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        assert!(!is_placeholder("5f2b6a9be1c74d0fb2a8a1c09b6ae5d4"));
    }

    #[test]
    fn patterns_are_found_and_random_bytes_are_not() {
        for pattern in [
            [0_u8; 32],
            [0x41; 32],
            *b"12345678901234567890123456789012",
            *b"abababababababababababababababab",
        ] {
            assert!(is_pattern(&pattern), "{pattern:?}");
        }
        let counting: Vec<u8> = (0..32).collect();
        assert!(is_pattern(&counting));
        assert!(!is_pattern(b"5f2b6a9be1c74d0fb2a8a1c09b6ae5d4"));
        for _ in 0..1_000 {
            let mut random = [0; 32];
            getrandom::fill(&mut random).unwrap();
            assert!(!is_pattern(&random), "{random:?}");
        }
    }
}
