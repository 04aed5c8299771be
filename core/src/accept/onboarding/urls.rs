//! The URLs to which a person returns from Stripe's pages.

use url::Url;

use crate::accept::AcceptError;
use crate::config::is_loopback;

/// The maximum length of a URL that a client sends, in characters; browsers and proxies support it.
pub const LONGEST_URL: usize = 2_048;

/// Parses a URL to which Stripe will send a person: https, or plain http to this machine if no real money moves.
pub(super) fn back_to(field: &'static str, text: &str, live: bool) -> Result<Url, AcceptError> {
    let wrong = |problem: &str| AcceptError::validation(field, problem.to_owned());
    if text.chars().count() > LONGEST_URL {
        return Err(wrong(&format!("is longer than {LONGEST_URL} characters")));
    }
    if text
        .chars()
        .any(|character| character.is_control() || character.is_whitespace())
    {
        return Err(wrong("contains blanks or control characters; remove them"));
    }
    let url = Url::parse(text)
        .map_err(|_| wrong("must be an absolute URL, such as https://example.com/payouts"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) && !live => {}
        "http" if is_loopback(&url) => return Err(wrong("must be https with a live Stripe key")),
        _ => return Err(wrong("must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not carry a user name or password"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_sent_back_over_https_or_to_this_machine_only() {
        for (text, test_key, live_key) in [
            ("https://example.com/payouts?step=2#done", true, true),
            ("https://user@example.com/", false, false),
            ("https://user:secret@example.com/", false, false),
            ("http://localhost:3000/back", true, false),
            ("http://127.0.0.1/back", true, false),
            ("http://[::1]:3000/", true, false),
            ("http://example.com/", false, false),
            ("http://localhost.example.com/", false, false),
            ("http://127.0.0.1.example.com/", false, false),
            ("//example.com/", false, false),
            ("/payouts", false, false),
            ("example.com", false, false),
            ("", false, false),
            ("javascript:alert(1)", false, false),
            ("data:text/html,x", false, false),
            ("https://", false, false),
            (" https://example.com/", false, false),
            ("https://example.com/\nset-cookie: x", false, false),
        ] {
            assert_eq!(
                back_to("returnUrl", text, false).is_ok(),
                test_key,
                "{text:?} with a test key"
            );
            assert_eq!(
                back_to("returnUrl", text, true).is_ok(),
                live_key,
                "{text:?} with a live key"
            );
        }
    }

    #[test]
    fn a_url_is_bounded_and_a_refusal_names_its_field() {
        let long = format!("https://example.com/{}", "a".repeat(LONGEST_URL));
        let error = back_to("refreshUrl", &long, false).unwrap_err();
        assert_eq!(error.to_string(), "refreshUrl is longer than 2048 characters");
        let fits = format!("https://example.com/{}", "a".repeat(LONGEST_URL - 20));
        assert!(back_to("refreshUrl", &fits, false).is_ok());
    }
}
