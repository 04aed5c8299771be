//! The invalid webhooks of the security list, 105 to 121, each as a row; bad bodies (122 to 128) belong to the inbox.

use super::SignatureError::{Malformed, Mismatch, Missing, OutsideTolerance};
use super::*;

const SECRET: &str = "whsec_platform0000000000000000000000";
const CONNECT: &str = "whsec_connect00000000000000000000000";
const FOREIGN: &str = "whsec_somebodyelse000000000000000000";
const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;
const NOW: i64 = 1_700_000_000;

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::new(SecretString::from(text.to_owned())).unwrap()
}

fn sign(secret: &str, time: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Returns a header with this time and a valid signature for this body.
fn header_at(time: &str, body: &[u8]) -> String {
    format!("t={time},v1={}", sign(SECRET, time, body))
}

fn header() -> String {
    header_at(&NOW.to_string(), BODY)
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn verify(header: &str, body: &[u8]) -> Result<Verified, SignatureError> {
    Verifier::new(secret(SECRET), vec![secret(CONNECT)]).verify(Some(header.as_bytes()), body, at(NOW))
}

#[test]
fn an_event_signed_by_stripe_is_believed() {
    assert_eq!(
        verify(&header(), BODY),
        Ok(Verified {
            signed_at: at(NOW),
            secret: 0
        })
    );
    let connect = format!("t={NOW},v1={}", sign(CONNECT, &NOW.to_string(), BODY));
    assert_eq!(verify(&connect, BODY).unwrap().secret, 1);
}

#[test]
fn a_known_vector_verifies() {
    // openssl: printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_platform0000000000000000000000
    let header = "t=1700000000,v1=7dd54ed707767084168f835835cb9947489106d790faa77aecb63c75cd5a0a8b";
    assert!(verify(header, b"{}").is_ok());
}

#[test]
fn while_a_secret_is_rolled_one_of_several_signatures_suffices() {
    let time = NOW.to_string();
    let rolling = format!(
        "t={time},v1=zz,v1={},v1={},v1=,v0=abc",
        sign(FOREIGN, &time, BODY),
        sign(SECRET, &time, BODY)
    );
    assert!(verify(&rolling, BODY).is_ok());
}

#[test]
fn without_a_header_nothing_is_believed() {
    let verifier = Verifier::new(secret(SECRET), Vec::new());
    assert_eq!(verifier.verify(None, BODY, at(NOW)), Err(Missing));
    assert_eq!(verifier.verify(Some(b""), BODY, at(NOW)), Err(Missing));
}

#[test]
fn bad_headers_are_refused() {
    let time = NOW.to_string();
    let good = sign(SECRET, &time, BODY);
    let rows: Vec<(&str, String, SignatureError)> = vec![
        ("107 the secret itself", SECRET.to_owned(), Malformed),
        ("108 v0 only", format!("t={time},v0={good}"), Malformed),
        (
            "109 v1 of another secret",
            format!("t={time},v1={}", sign(FOREIGN, &time, BODY)),
            Mismatch,
        ),
        ("115 no time", format!("v1={good}"), Malformed),
        ("116 time is no number", header_at("now", BODY), Malformed),
        ("116 time with a sign", header_at("+1700000000", BODY), Malformed),
        ("116 time with a blank", header_at(" 1700000000", BODY), Malformed),
        (
            "116 time with a fraction",
            header_at("1700000000.0", BODY),
            Malformed,
        ),
        ("116 time is empty", header_at("", BODY), Malformed),
        ("117 i64::MIN", header_at(&i64::MIN.to_string(), BODY), Malformed),
        ("117 i64::MAX", header_at(&i64::MAX.to_string(), BODY), Malformed),
        (
            "117 beyond i64",
            header_at("99999999999999999999", BODY),
            Malformed,
        ),
        ("118 two times", format!("t={time},t={time},v1={good}"), Malformed),
        (
            "118 two times, the second false",
            format!("t={time},v1={good},t=1"),
            Malformed,
        ),
        (
            "119 a thousand signatures",
            format!("t={time}{}", format!(",v1={good}").repeat(1000)),
            Malformed,
        ),
        (
            "signature cut short",
            format!("t={time},v1={}", good.get(..62).unwrap()),
            Malformed,
        ),
        (
            "signature not hexadecimal",
            format!("t={time},v1={}", "z".repeat(64)),
            Malformed,
        ),
        ("signature empty", format!("t={time},v1="), Malformed),
        ("item without a value", format!("t={time},v1={good},x"), Malformed),
        ("only blanks", "   ".to_owned(), Malformed),
    ];
    for (name, header, error) in rows {
        assert_eq!(verify(&header, BODY), Err(error), "{name}");
    }
    let verifier = Verifier::new(secret(SECRET), Vec::new());
    assert_eq!(
        verifier.verify(Some(b"t=1\xff,v1=00"), BODY, at(NOW)),
        Err(Malformed)
    );
}

#[test]
fn a_body_that_is_not_byte_for_byte_the_signed_one_is_refused() {
    let reserialised = br#"{"object":"event","id":"evt_1"}"#;
    let mut changed = BODY.to_vec();
    changed[8] ^= 1;
    let newline = [BODY, b"\n"].concat();
    for (name, body) in [
        ("110 re-serialised", &reserialised[..]),
        ("111 one byte", &changed),
        ("112 newline", &newline),
        ("empty", b""),
    ] {
        assert_eq!(verify(&header(), body), Err(Mismatch), "{name}");
    }
}

#[test]
fn the_tolerance_is_five_minutes_both_ways() {
    for (name, seconds, expected) in [
        ("300 s ago", NOW - 300, Ok(())),
        ("113 301 s ago", NOW - 301, Err(OutsideTolerance)),
        ("300 s ahead", NOW + 300, Ok(())),
        ("114 301 s ahead", NOW + 301, Err(OutsideTolerance)),
        ("121 replayed after ten minutes", NOW - 600, Err(OutsideTolerance)),
        ("epoch", 0, Err(OutsideTolerance)),
    ] {
        let got = verify(&header_at(&seconds.to_string(), BODY), BODY).map(|_| ());
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_secret_that_anybody_could_guess_cannot_exist() {
    // 120: an empty key signs anything.
    for text in [
        "",
        "whsec_",
        "whsec_short",
        "sk_test_0123456789abcdef",
        "0123456789abcdef",
        " whsec_0123456789",
        "whsec_01234567 ",
    ] {
        assert_eq!(
            WebhookSecret::new(SecretString::from(text.to_owned())).unwrap_err(),
            InvalidWebhookSecret,
            "{text:?}"
        );
    }
}

#[test]
fn a_secret_does_not_print() {
    let shown = format!("{:?}", Verifier::new(secret(SECRET), vec![secret(CONNECT)]));
    assert!(
        !shown.contains("platform") && !shown.contains("connect"),
        "{shown}"
    );
}
