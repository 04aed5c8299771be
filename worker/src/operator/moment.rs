//! Parses a moment as an operator writes it.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::session::{self, clock};

/// The accepted forms, for the help.
pub(super) const FORMS: &str =
    "a day, as in 2026-11-24 (from its beginning, UTC), or a time, as in 2026-11-24T13:30:00Z";

/// Parses a day or a time in the past. With a future moment, for example a mistyped year, nothing or
/// everything would be checked, and the answer would suggest that all is well.
///
/// # Errors
/// If it is neither, names the forms; if it is in the future, names the current time.
pub(super) fn past(text: &str) -> Result<DateTime<Utc>, String> {
    come(text, clock().now())
}

fn come(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let at = parse(text)?;
    if at > now {
        let now = session::moment(now);
        return Err(format!(
            "lies in the future (it is {now}): look at the year, or leave it out"
        ));
    }
    Ok(at)
}

fn parse(text: &str) -> Result<DateTime<Utc>, String> {
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
    fn what_has_not_come_is_refused_with_the_time_that_it_is() {
        let now = parse("2026-11-24T13:30:00Z").unwrap();
        for text in ["2026-11-24", "2026-11-24T13:30:00Z", "2020-01-01"] {
            assert_eq!(come(text, now), parse(text), "{text}");
        }
        for text in ["2030-01-01", "2026-11-25", "2026-11-24T13:30:01Z"] {
            let told = come(text, now).unwrap_err();
            assert!(
                told.contains("lies in the future (it is 2026-11-24 13:30:00 UTC)"),
                "{text}: {told}"
            );
        }
        assert_eq!(come("yesterday", now), parse("yesterday"));
    }

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
