//! Valid and invalid tokens, row by row. The keys in this folder exist for these tests only.

mod rows;
mod unusable;

use std::sync::{Arc, RwLock};

use chrono::{TimeDelta, Utc};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};
use wallet_core::accept::Role;
use wallet_core::clock::{Clock, SystemClock};
use wallet_core::config::{JwtConfig, JwtKey};

use super::reread;
use super::token::{Claims, TokenError, Tokens};

const SECRET: &str = "mD3x8Wq0Zr7Yt2Kp5Vn9Lb4Hs6Jf1Gc3";
const USER: &str = "018f2f5e-7b3c-7000-8000-000000000001";

fn now() -> chrono::DateTime<Utc> {
    SystemClock.now()
}

fn in_seconds(seconds: i64) -> i64 {
    (now() + TimeDelta::seconds(seconds)).timestamp()
}

fn config(keys: Vec<JwtKey>) -> JwtConfig {
    JwtConfig {
        keys,
        issuer: None,
        audience: None,
        files: Default::default(),
    }
}

fn hs256() -> Tokens {
    Tokens::new(&config(vec![JwtKey::Hs256(SecretString::from(SECRET))])).unwrap()
}

fn good_claims() -> Value {
    json!({ "sub": USER, "exp": in_seconds(60) })
}

/// Valid claims with some added, replaced or, by null, removed.
fn claims(changes: Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

fn token(changes: Value) -> String {
    signed(
        &Header::new(Algorithm::HS256),
        &claims(changes),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
}

fn check(tokens: &Tokens, token: &str) -> Result<Claims, TokenError> {
    tokens.check(token, now())
}

#[test]
fn a_good_token_says_who_it_is() {
    let claims = check(&hs256(), &token(json!({}))).unwrap();
    assert_eq!(
        (claims.user_id.to_string().as_str(), claims.role, claims.session),
        (USER, Role::User, None)
    );
    let claims = check(&hs256(), &token(json!({ "role": "operator", "sid": "s-1" }))).unwrap();
    assert_eq!(
        (claims.role, claims.session.as_deref()),
        (Role::Operator, Some("s-1"))
    );
}

#[test]
fn time_is_that_of_the_injected_clock() {
    let tokens = hs256();
    let token = token(json!({ "exp": in_seconds(60) }));
    assert!(tokens.check(&token, now() + TimeDelta::seconds(50)).is_ok());
    assert_eq!(
        tokens.check(&token, now() + TimeDelta::seconds(61)),
        Err(TokenError::Expired)
    );
}

#[test]
fn each_kind_of_key_checks_its_own_algorithm() {
    let pem = |text: &str| Tokens::new(&config(vec![JwtKey::Pem(text.to_owned())])).unwrap();
    let kinds = [
        (
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(include_bytes!("rsa.pem")),
            include_str!("rsa.pub.pem"),
        ),
        (
            Algorithm::ES256,
            EncodingKey::from_ec_pem(include_bytes!("ec.pem")),
            include_str!("ec.pub.pem"),
        ),
        (
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(include_bytes!("ed.pem")),
            include_str!("ed.pub.pem"),
        ),
    ];
    for (algorithm, private, public) in &kinds {
        let private = private.as_ref().unwrap();
        let token = signed(&Header::new(*algorithm), &good_claims(), private);
        for (other, _, key) in &kinds {
            let expected = if other == algorithm {
                Ok(())
            } else {
                Err(TokenError::UnknownKey)
            };
            assert_eq!(
                check(&pem(key), &token).map(|_| ()),
                expected,
                "{algorithm:?} by a key for {other:?}"
            );
        }
        assert_eq!(check(&hs256(), &token), Err(TokenError::UnknownKey));
        // The public key's bytes used as a secret: algorithm confusion.
        let forged = EncodingKey::from_secret(public.as_bytes());
        let forged = signed(&Header::new(Algorithm::HS256), &good_claims(), &forged);
        assert_eq!(
            check(&pem(public), &forged),
            Err(TokenError::UnknownKey),
            "{algorithm:?}"
        );
    }
    assert!(
        Tokens::new(&config(vec![JwtKey::Pem(
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned()
        )]))
        .is_err()
    );
}

#[test]
fn a_set_is_searched_by_the_name_of_the_key() {
    let private = |pem: &[u8]| EncodingKey::from_ec_pem(pem).unwrap();
    let (ours, theirs) = (
        private(include_bytes!("ec.pem")),
        private(include_bytes!("other-ec.pem")),
    );
    let public = |kid: &str, key| {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    };
    let (one, other) = (public("one", &ours), public("two", &theirs));
    let encryption = json!({ "kty": "RSA", "use": "enc", "kid": "three", "n": "AQAB", "e": "AQAB" });
    let set = |keys: &[&Value]| Tokens::new(&config(vec![JwtKey::Jwks(json!({ "keys": keys }).to_string())]));
    let named = |kid: Option<&str>| {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(Algorithm::ES256)
        };
        signed(&header, &good_claims(), &ours)
    };
    let both = set(&[&one, &other, &encryption]).unwrap();
    assert!(check(&both, &named(Some("one"))).is_ok());
    assert_eq!(check(&both, &named(Some("two"))), Err(TokenError::Signature));
    assert_eq!(check(&both, &named(Some("four"))), Err(TokenError::UnknownKey));
    assert_eq!(
        check(&both, &named(None)),
        Err(TokenError::UnknownKey),
        "there is a choice"
    );
    assert!(check(&set(&[&one]).unwrap(), &named(None)).is_ok());
    assert!(set(&[&encryption]).is_err());
}

#[test]
fn a_file_of_keys_that_changes_is_followed_and_one_that_breaks_changes_nothing() {
    let private = |pem: &[u8]| EncodingKey::from_ec_pem(pem).unwrap();
    let (old, new) = (
        private(include_bytes!("ec.pem")),
        private(include_bytes!("other-ec.pem")),
    );
    let public = |kid: &str, key| {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = json!(kid);
        jwk
    };
    let token = |kid: &str, key| {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        signed(&header, &good_claims(), key)
    };
    let (by_old, by_new) = (token("old", &old), token("new", &new));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let write = |keys: Value| std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    write(json!([public("old", &old)]));
    let mut config =
        JwtConfig::read(&|name: &str| (name == "JWT_JWKS").then(|| path.clone().into_os_string())).unwrap();
    let tokens = RwLock::new(Arc::new(Tokens::new(&config).unwrap()));
    let checked = |token: &str| tokens.read().unwrap().check(token, now()).map(|_| ());
    assert_eq!(
        (checked(&by_old), checked(&by_new)),
        (Ok(()), Err(TokenError::UnknownKey))
    );
    write(json!([public("old", &old), public("new", &new)]));
    config = reread(&tokens, &config).unwrap().unwrap();
    assert_eq!((checked(&by_old), checked(&by_new)), (Ok(()), Ok(())));
    write(json!([public("new", &new)]));
    config = reread(&tokens, &config).unwrap().unwrap();
    assert_eq!(
        (checked(&by_old), checked(&by_new)),
        (Err(TokenError::UnknownKey), Ok(()))
    );
    assert!(reread(&tokens, &config).unwrap().is_none(), "nothing has changed");
    // Half written, without a key that can be used, gone.
    for broken in [
        "{\"keys\":[",
        "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
    ] {
        std::fs::write(&path, broken).unwrap();
        assert!(reread(&tokens, &config).is_err(), "{broken}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(reread(&tokens, &config).is_err());
    assert_eq!(checked(&by_new), Ok(()));
}

#[test]
fn issuer_and_audience_must_match_when_configured() {
    let tokens = Tokens::new(&JwtConfig {
        issuer: Some("https://login.example.com/".to_owned()),
        audience: Some("wallet".to_owned()),
        files: Default::default(),
        ..config(vec![JwtKey::Hs256(SecretString::from(SECRET))])
    })
    .unwrap();
    let checked = |issuer: Value, audience: Value| {
        check(&tokens, &token(json!({ "iss": issuer, "aud": audience }))).map(|_| ())
    };
    let issuer = || json!("https://login.example.com/");
    assert_eq!(checked(issuer(), json!("wallet")), Ok(()));
    assert_eq!(checked(issuer(), json!(["other", "wallet"])), Ok(()));
    for wrong in [
        json!("https://evil.example.com/"),
        json!(null),
        json!(["https://login.example.com/"]),
        json!(7),
    ] {
        assert_eq!(
            checked(wrong.clone(), json!("wallet")),
            Err(TokenError::Issuer),
            "{wrong}"
        );
    }
    for wrong in [
        json!("other"),
        json!(["other"]),
        json!([]),
        json!(null),
        json!({ "wallet": 1 }),
        json!([["wallet"]]),
    ] {
        assert_eq!(
            checked(issuer(), wrong.clone()),
            Err(TokenError::Audience),
            "{wrong}"
        );
    }
}

#[test]
fn only_one_bearer_header_is_read() {
    use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    let headers = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    };
    assert_eq!(super::bearer(&headers(&["Bearer abc"])), Some("abc"));
    assert_eq!(super::bearer(&headers(&["bearer  abc "])), Some("abc"));
    for wrong in [
        &[][..],
        &["abc"],
        &["Basic abc"],
        &["Bearer "],
        &["Bearer"],
        &["Bearer abc", "Bearer def"],
    ] {
        assert_eq!(super::bearer(&headers(wrong)), None, "{wrong:?}");
    }
}
