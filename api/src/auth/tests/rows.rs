//! The table of invalid tokens: what is sent, and why it is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::token::PAYLOAD;
use super::*;

/// A token of any header and claims, with the signature that `sign` makes over them.
fn assembled(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// A token with any header, correctly signed with our secret.
fn with_header(changes: Value) -> String {
    let mut header = json!({ "alg": "HS256", "typ": "JWT" });
    for (name, value) in changes.as_object().unwrap() {
        header[name] = value.clone();
    }
    let unsigned = assembled(&header, &good_claims(), "");
    let message = unsigned.strip_suffix('.').unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn by_another_secret() -> EncodingKey {
    EncodingKey::from_secret(b"another secret of at least 32 bytes!")
}

/// A valid token whose payload was changed afterwards.
fn edited() -> String {
    let good = token(json!({}));
    let mut parts = good.split('.');
    let (header, _, signature) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let payload = URL_SAFE_NO_PAD.encode(claims(json!({ "role": "admin" })).to_string());
    format!("{header}.{payload}.{signature}")
}

#[test]
fn bad_tokens_are_refused_each_for_its_reason() {
    use TokenError as E;
    let good = token(json!({}));
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned();
    let public_jwk = json!({ "kty": "oct", "k": "c2VjcmV0" });
    let rows: Vec<(&str, String, TokenError)> = vec![
        (
            "1 alg none",
            assembled(&json!({ "alg": "none" }), &good_claims(), ""),
            E::Malformed,
        ),
        (
            "2 alg None",
            assembled(&json!({ "alg": "None" }), &good_claims(), ""),
            E::Malformed,
        ),
        (
            "2 alg nOnE",
            assembled(&json!({ "alg": "nOnE", "typ": "JWT" }), &good_claims(), "AAAA"),
            E::Malformed,
        ),
        ("3 no signature part", unsigned.clone(), E::Malformed),
        ("4 empty signature", format!("{unsigned}."), E::Signature),
        (
            "6 HS384",
            signed(
                &Header::new(Algorithm::HS384),
                &good_claims(),
                &EncodingKey::from_secret(SECRET.as_bytes()),
            ),
            E::UnknownKey,
        ),
        (
            "7 kid is a path",
            with_header(json!({ "kid": "../../dev/null" })),
            E::Header,
        ),
        (
            "8 kid is SQL",
            with_header(json!({ "kid": "' OR 1=1 --" })),
            E::Header,
        ),
        (
            "10 jku",
            with_header(json!({ "jku": "https://evil.example.com/keys" })),
            E::Header,
        ),
        (
            "10 x5u",
            with_header(json!({ "x5u": "https://evil.example.com/cert" })),
            E::Header,
        ),
        ("10 jwk", with_header(json!({ "jwk": public_jwk })), E::Header),
        ("11 crit", with_header(json!({ "crit": ["exp"] })), E::Header),
        ("12 exp missing", token(json!({ "exp": null })), E::Claim("exp")),
        (
            "13 exp is text",
            token(json!({ "exp": "never" })),
            E::Claim("exp"),
        ),
        (
            "13 exp is a list",
            token(json!({ "exp": [in_seconds(60)] })),
            E::Claim(PAYLOAD),
        ),
        (
            "13 exp beyond time",
            token(json!({ "exp": 1e300 })),
            E::Claim("exp"),
        ),
        (
            "14 nbf is text",
            token(json!({ "nbf": "2999-01-01" })),
            E::Claim("nbf"),
        ),
        (
            "15 nbf in the future",
            token(json!({ "nbf": in_seconds(60) })),
            E::Early("nbf"),
        ),
        (
            "15 iat in the future",
            token(json!({ "iat": in_seconds(60) })),
            E::Early("iat"),
        ),
        (
            "16 expired by 61 s",
            token(json!({ "exp": in_seconds(-61) })),
            E::Expired,
        ),
        (
            "16 expired by 1 s",
            token(json!({ "exp": in_seconds(-1) })),
            E::Expired,
        ),
        ("16 negative exp", token(json!({ "exp": -1 })), E::Expired),
        (
            "20 typ of a refresh token",
            with_header(json!({ "typ": "refresh+jwt" })),
            E::Kind,
        ),
        (
            "20 an identity token",
            token(json!({ "token_use": "id" })),
            E::Kind,
        ),
        ("20 a refresh token", token(json!({ "typ": "Refresh" })), E::Kind),
        (
            "20 kind of a wrong type",
            token(json!({ "token_type": 1 })),
            E::Claim("token_type"),
        ),
        ("21 role edited", edited(), E::Signature),
        ("21 unknown role", token(json!({ "role": "root" })), E::Role),
        ("21 role in capitals", token(json!({ "role": "ADMIN" })), E::Role),
        (
            "21 role is a list",
            token(json!({ "role": ["admin"] })),
            E::Claim("role"),
        ),
        (
            "24 64 KiB",
            token(json!({ "x": "x".repeat(64 * 1024) })),
            E::TooLong,
        ),
        ("sub missing", token(json!({ "sub": null })), E::Claim("sub")),
        (
            "sub is no UUID",
            token(json!({ "sub": "alice" })),
            E::Claim("sub"),
        ),
        ("sub is a number", token(json!({ "sub": 7 })), E::Claim("sub")),
        (
            "sub is the system's",
            token(json!({ "sub": "00000000-0000-0000-0000-000000000000" })),
            E::Claim("sub"),
        ),
        ("sid is a number", token(json!({ "sid": 7 })), E::Claim("sid")),
        ("sid is empty", token(json!({ "sid": "" })), E::Claim("sid")),
        ("sid with NUL", token(json!({ "sid": "a\0" })), E::Claim("sid")),
        (
            "another secret",
            signed(
                &Header::new(Algorithm::HS256),
                &good_claims(),
                &by_another_secret(),
            ),
            E::Signature,
        ),
        (
            "claims are a list",
            {
                let unsigned = assembled(&json!({ "alg": "HS256" }), &json!([1]), "");
                let message = unsigned.strip_suffix('.').unwrap();
                let key = EncodingKey::from_secret(SECRET.as_bytes());
                format!(
                    "{message}.{}",
                    jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap()
                )
            },
            E::Claim(PAYLOAD),
        ),
        ("four parts", format!("{good}.x"), E::Malformed),
        ("empty", String::new(), E::Malformed),
        ("blanks", format!(" {good}"), E::Malformed),
    ];
    for (row, token, reason) in rows {
        assert_eq!(check(&hs256(), &token), Err(reason), "{row}");
    }
    assert!(check(&hs256(), &good).is_ok());
    assert!(
        check(&hs256(), &with_header(json!({ "kid": "2026-11" }))).is_ok(),
        "a lone key answers to any name"
    );
}
