//! The characters that a line of text may hold: all that people write, but none that hides or reorders what a reader sees.
//!
//! The decision depends on Unicode properties (ICU's data) and on the neighbouring characters, not on a list of characters: a joiner holds the
//! members of a family together (👨‍👩‍👧‍👦), separates parts of Persian words (می‌خواهم) and shapes Hindi ones (क्‍ष), but is hidden in Latin ones.
//! Joiners follow UTS #51 (emoji sequences) and, for letters, the spirit of RFC 5892, appendix A.

use icu_properties::props::{
    BidiControl, DefaultIgnorableCodePoint, EmojiModifier, ExtendedPictographic, GeneralCategory,
    IndicSyllabicCategory, JoiningType, LineBreak, Script, VariationSelector,
};
use icu_properties::{CodePointMapData, CodePointSetData};

const ZERO_WIDTH_SPACE: char = '\u{200B}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
const ZERO_WIDTH_JOINER: char = '\u{200D}';
const BLACK_FLAG: char = '\u{1F3F4}';
const CANCEL_TAG: char = '\u{E007F}';

/// Returns whether a text contains something deceptive: controls other than line breaks and tabs, changes of the writing direction, or
/// invisible characters where no script and no emoji needs them.
pub(crate) fn deceive(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut tags = Tags::None;
    for (at, character) in characters.iter().copied().enumerate() {
        let (before, rest) = characters.split_at_checked(at).unwrap_or_default();
        if !is_honest(before, character, rest.get(1).copied()) {
            return true;
        }
        tags = match (tags, character) {
            (Tags::Flag | Tags::Open, CANCEL_TAG) => Tags::None,
            (Tags::Flag | Tags::Open, _) if is_tag(character) => Tags::Open,
            (Tags::Open, _) => return true,
            _ if is_tag(character) => return true,
            (_, BLACK_FLAG) => Tags::Flag,
            _ => Tags::None,
        };
    }
    tags == Tags::Open
}

/// The state of a region's flag: 🏴, followed by its code in invisible tag letters up to the one that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tags {
    None,
    Flag,
    Open,
}

const fn is_tag(character: char) -> bool {
    matches!(character, '\u{E0020}'..='\u{E007F}')
}

fn is_honest(before: &[char], character: char, after: Option<char>) -> bool {
    if character.is_control() {
        return matches!(character, '\n' | '\r' | '\t');
    }
    if CodePointSetData::new::<BidiControl>().contains(character) {
        return false;
    }
    match character {
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER => joins(before, character, after),
        // Allowed between words of scripts that are written without spaces, such as Khmer.
        ZERO_WIDTH_SPACE => before
            .last()
            .is_some_and(|last| CodePointMapData::<LineBreak>::new().get(*last) == LineBreak::ComplexContext),
        // Interlinear annotations.
        '\u{FFF9}'..='\u{FFFB}' => false,
        _ if is_tag(character) => true,
        _ if CodePointSetData::new::<VariationSelector>().contains(character) => before
            .last()
            .is_some_and(|last| !last.is_whitespace() && !is_ignorable(*last)),
        // The vowel separator belongs in Mongolian words.
        '\u{180E}' => before
            .last()
            .is_some_and(|last| CodePointMapData::<Script>::new().get(*last) == Script::Mongolian),
        _ => !is_ignorable(character),
    }
}

/// Returns whether a joiner stands where one is needed.
fn joins(before: &[char], joiner: char, after: Option<char>) -> bool {
    if before
        .last()
        .is_some_and(|last| is_ignorable(*last) && !is_mark(*last))
    {
        return false;
    }
    // The character that the joiner follows: the letter below its marks, the emoji below its skin colour.
    let Some(base) = before
        .iter()
        .rev()
        .copied()
        .find(|character| !is_mark(*character))
    else {
        return false;
    };
    let is_emoji = |character| CodePointSetData::new::<ExtendedPictographic>().contains(character);
    if is_emoji(base) {
        return joiner == ZERO_WIDTH_JOINER && after.is_some_and(is_emoji);
    }
    let joining = CodePointMapData::<JoiningType>::new().get(base);
    let is_cursive = matches!(
        joining,
        JoiningType::DualJoining
            | JoiningType::RightJoining
            | JoiningType::LeftJoining
            | JoiningType::JoinCausing
    );
    let is_indic = base.is_alphabetic()
        && CodePointMapData::<IndicSyllabicCategory>::new().get(base) != IndicSyllabicCategory::Other;
    is_cursive || is_indic
}

/// Returns whether a character modifies the one before it.
fn is_mark(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    matches!(
        category,
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark
    ) || CodePointSetData::new::<EmojiModifier>().contains(character)
}

fn is_ignorable(character: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_accepted() {
        for text in [
            "Miete März 2026 – Wohnung 3",
            "👨‍👩‍👧‍👦 rent",
            "🏳️‍🌈 🏴‍☠️ 👩🏽‍⚕️ 🧑‍🤝‍🧑 ❤️‍🔥 👁️‍🗨️ 🐻‍❄️",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F} 🇩🇪 1️⃣ ☎︎",
            "می‌خواهم اجارهٔ خانه‌ها را بپردازم",
            "क्‍ष और श्री",
            "ক্‍ষ র‍্য",
            "നന്‍",
            "ශ්‍රී ලංකා",
            "ខ្ញុំ\u{200B}បង់\u{200B}ថ្លៃ",
            "e\u{301} Å 가 שָׁלוֹם مُحَمَّد",
            "first line\nsecond\tcolumn\r\n",
            "葛\u{E0100}飾区",
            "😀 \u{10FFFD}",
            "",
        ] {
            assert!(!deceive(text), "{text}: {:?}", text.chars().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_hides_or_reorders_is_refused() {
        for text in [
            "a\0b",
            "bell\u{7}",
            "\u{85}",
            "rent\u{202E}tner",
            "\u{202A}x\u{202C}",
            "\u{2066}x\u{2069}",
            "\u{200E}",
            "\u{61C}",
            "zero\u{200B}width",
            "re\u{200D}nt",
            "re\u{200C}nt",
            "\u{200D}rent",
            "👨\u{200D}rent",
            "👨\u{200C}👩",
            "👨\u{200D}\u{200D}👩",
            "می\u{200C}\u{200C}خواهم",
            "12\u{200C}34",
            "soft\u{AD}hyphen",
            "\u{FEFF}rent",
            "word\u{2060}joiner",
            "hangul\u{3164}filler",
            "\u{FE0F}",
            "x\u{FE0F}\u{FE0F}",
            "hidden\u{E0068}\u{E0069}",
            "🏴\u{E0067}\u{E0062}",
            "🏴\u{E0067}x",
            "note\u{FFF9}x\u{FFFB}",
            "\u{180E}",
        ] {
            assert!(deceive(text), "{text:?}");
        }
    }
}
