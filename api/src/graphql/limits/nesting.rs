//! How deep the brackets of a document nest, seen without parsing it.

/// Deeper than anything that could be answered; the parser takes a stack frame for each level.
const MAX_NESTING: usize = 64;

/// Whether brackets nest deeper than allowed. Strings and comments are skipped.
pub(super) fn exceeds(document: &str) -> bool {
    let mut rest = document.as_bytes();
    let mut depth = 0_usize;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'{' | b'[' | b'(' => {
                depth += 1;
                if depth > MAX_NESTING {
                    return true;
                }
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => rest = behind(rest, |byte| matches!(byte, b'\n' | b'\r')),
            b'"' => rest = behind_string(rest),
            _ => {}
        }
    }
    false
}

/// What follows the string whose opening quote was just passed.
fn behind_string(rest: &[u8]) -> &[u8] {
    let Some(mut rest) = rest.strip_prefix(b"\"\"") else {
        return behind_quote(rest);
    };
    while let Some((_, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\"\"\"") {
            return after;
        }
        rest = rest.strip_prefix(b"\\\"\"\"").unwrap_or(after);
    }
    rest
}

fn behind_quote(mut rest: &[u8]) -> &[u8] {
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'\\' => rest = rest.split_first().map_or(rest, |(_, after)| after),
            b'"' | b'\n' | b'\r' => break,
            _ => {}
        }
    }
    rest
}

fn behind(rest: &[u8], ends: impl Fn(u8) -> bool) -> &[u8] {
    let end = rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len());
    rest.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_wherever_they_nest() {
        for open in ["{", "[", "(", "{a(b:["] {
            assert!(exceeds(&open.repeat(65)), "{open}");
        }
        assert!(!exceeds(&"{".repeat(64)));
        assert!(!exceeds(&"{}".repeat(1_000)));
    }

    #[test]
    fn strings_and_comments_do_not_count_and_hide_nothing() {
        let deep = "[".repeat(65);
        for harmless in [
            format!("# {deep}\n{{a}}"),
            format!("{{a(b: \"{deep}\")}}"),
            format!("{{a(b: \"\\\"{deep}\")}}"),
            format!("{{a(b: \"\"\"\n{deep} \\\"\"\" {deep}\"\"\")}}"),
            format!("{{a(b: \"\", c: \"{deep}\")}}"),
        ] {
            assert!(!exceeds(&harmless), "{harmless}");
        }
        for harmful in [
            format!("{{a(b: \"\", c: {deep}"),
            format!("{{a(b: \"\"\"x\"\"\", c: {deep}"),
            format!("# \n{deep}"),
            format!("{{a(b: \"\\\\\", c: {deep}"),
        ] {
            assert!(exceeds(&harmful), "{harmful}");
        }
    }
}
