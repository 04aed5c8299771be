//! Amounts in tests: cents as integers, written as the API writes them.

/// `1250` as `"12.50"`.
#[must_use]
pub fn major(cents: i64) -> String {
    let (sign, cents) = if cents < 0 { ("-", -cents) } else { ("", cents) };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// `"12.50"` as `1250`, and `"12"` of a currency without decimals as `12`.
///
/// # Panics
/// If it is no amount with two decimals or none.
#[must_use]
pub fn cents(major: &str) -> i64 {
    let (whole, part) = major.split_once('.').unwrap_or((major, ""));
    assert!(matches!(part.len(), 0 | 2), "{major}");
    format!("{whole}{part}").parse().expect("an amount")
}
