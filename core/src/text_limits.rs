//! Size limits of the texts that clients read. The weight of an answer is computed from them, so they are enforced where a text is written.

use std::borrow::Cow;

use serde_json::{Value, json};

/// The maximum size of the message of a timeline line, in bytes of JSON.
pub const MOST_MESSAGE: usize = 512;
/// The maximum size of the detail of a timeline line, which is for support, in bytes of JSON.
pub const MOST_DETAIL: usize = 1_024;
/// The maximum size of a failure reason, in bytes of JSON.
pub const MOST_REASON: usize = 1_024;

const ELLIPSIS: char = '…';

/// Shortens a text to at most `most` bytes of JSON, not counting its quotes; a text that is cut ends in an ellipsis. Many of the texts that we
/// pass on are written by Stripe or a bank, and we have no bound on their length.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.chars().fold(0, |sum, char| sum + written(char)) <= most {
        return Cow::Borrowed(text);
    }
    let mut left = most.saturating_sub(written(ELLIPSIS));
    let fits = |char: &char| {
        let bytes = written(*char);
        let has_room = bytes <= left;
        left = left.saturating_sub(bytes);
        has_room
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push(ELLIPSIS);
    Cow::Owned(kept)
}

/// Returns the detail of a timeline line, or, if it is too large, a note of its size in its place.
pub(crate) fn bounded(detail: &Value) -> Cow<'_, Value> {
    let bytes = detail.to_string().len();
    if bytes <= MOST_DETAIL {
        return Cow::Borrowed(detail);
    }
    Cow::Owned(json!({ "leftOut": format!("{bytes} bytes, of which a line holds {MOST_DETAIL}") }))
}

/// The number of bytes that a character takes within a JSON string (RFC 8259, section 7).
const fn written(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_json(text: &str) -> usize {
        serde_json::to_string(text).unwrap().len() - 2
    }

    #[test]
    fn what_fits_is_left_as_it_is_and_what_does_not_ends_in_an_ellipsis() {
        assert_eq!(shortened("the card was declined", 512), "the card was declined");
        let full = "ä".repeat(256);
        assert_eq!(shortened(&full, 512), full, "512 bytes");
        let cut = shortened(&"ä".repeat(257), 512).into_owned();
        assert_eq!((cut.len(), cut.chars().last()), (511, Some('…')));
        assert_eq!(
            shortened("\"\"\"\"", 7),
            "\"\"…",
            "quotes are written with two bytes"
        );
        assert_eq!(shortened("abcd", 3), "…");
    }

    #[test]
    fn what_is_for_support_is_kept_whole_or_said_to_be_left_out() {
        let small = json!({ "event": "evt_1", "type": "payout.paid" });
        assert_eq!(*bounded(&small), small);
        let large = json!({ "message": "x".repeat(2_000) });
        let told = bounded(&large);
        assert!(
            told.to_string().len() <= MOST_DETAIL && told.get("leftOut").is_some(),
            "{told}"
        );
    }

    proptest! {
        #[test]
        fn no_text_is_written_longer_than_its_bound(text in ".*", most in 3_usize..200) {
            let told = shortened(&text, most);
            prop_assert!(in_json(&told) <= most, "{told}");
            prop_assert!(text.starts_with(told.trim_end_matches('…')) || told == text);
        }

        #[test]
        fn no_text_of_control_characters_either(text in "[\\x00-\\x1f\"\\\\]{0,200}", most in 3_usize..100) {
            prop_assert!(in_json(&shortened(&text, most)) <= most);
        }
    }
}
