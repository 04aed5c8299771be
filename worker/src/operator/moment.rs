//! A moment as an operator writes it.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// The forms that are understood, for the help.
pub(super) const FORMS: &str =
    "a day, as in 2026-11-24 (from its beginning, UTC), or a time, as in 2026-11-24T13:30:00Z";

/// Reads a day or a time.
///
/// # Errors
/// With the forms, when it is neither.
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text
        .parse::<NaiveDate>()
        .map(|day| day.and_time(NaiveTime::MIN).and_utc());
    day.or_else(|_| text.parse::<DateTime<Utc>>())
        .map_err(|_| format!("write {FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_or_a_time_is_a_moment_and_the_refusal_of_others_says_so() {
        for (text, same) in [
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-11-24T13:30:00Z", "2026-11-24T13:30:00Z"),
            ("2026-11-24T13:30:00.5+01:00", "2026-11-24T12:30:00.5Z"),
        ] {
            assert_eq!(
                parse(text).unwrap(),
                same.parse::<DateTime<Utc>>().unwrap(),
                "{text}"
            );
        }
        for wrong in ["", "yesterday", "7d", "2026-13-01", "24.11.2026", "1764000000"] {
            let told = parse(wrong).unwrap_err();
            assert!(
                told.contains("2026-11-24T13:30:00Z") && told.contains("2026-11-24 "),
                "{wrong}: {told}"
            );
        }
    }
}
