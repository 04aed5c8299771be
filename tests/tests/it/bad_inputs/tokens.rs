//! Tokens that must not be believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384};
use uuid::Uuid;
use wallet_tests::TestApp;
use wallet_tests::app::Options;
use wallet_tests::system::JWT_SECRET;

use super::{Wrong, assert_refused};

/// A public key that is configured beside the secret, so that it could be taken for one.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQfIYz9CMNV0+Y5YuQ1qjjfmNwhrH
gICtbBmue67iEROfuEhV7M6cKFc0zdEZnix6zNB2gZRcy0/7xTr53oEyWg==
-----END PUBLIC KEY-----
";

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(header: &Value, claims: &Value, key: &[u8]) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let signature = if header["alg"] == "HS384" {
        let mut mac = Hmac::<Sha384>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    } else {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_prove_nothing_open_nothing() {
    let variables = vec![
        ("JWT_ISSUER", "https://id.example".to_owned()),
        ("JWT_AUDIENCE", "wallet".to_owned()),
        ("JWT_PUBLIC_KEY", PUBLIC_KEY.to_owned()),
    ];
    let app = TestApp::with(Options {
        workers: 0,
        variables,
        ..Options::default()
    })
    .await;
    let now = chrono::Utc::now().timestamp();
    let good = json!({ "sub": Uuid::new_v4(), "exp": now + 600, "iss": "https://id.example", "aud": "wallet", "sid": "kept" });
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let key = JWT_SECRET.as_bytes();
    let token = |claims: Value| signed(&hs256, &claims, key);
    let header = |more: Value| {
        let mut header = hs256.clone();
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        signed(&header, &good, key)
    };
    let believed = token(good.clone());
    let (head, tail) = believed.rsplit_once('.').unwrap();
    let (head, tail) = (head.to_owned(), tail.to_owned());
    let claimed = |role: &str| {
        format!(
            "{}.{}.{tail}",
            part(&hs256),
            part(&with(&good, "role", json!(role)))
        )
    };
    app.db
        .execute(
            "INSERT INTO revoked_sessions (session_id, user_id, revoked_at) VALUES ('gone', $1, now())",
            &[&Uuid::new_v4()],
        )
        .await;

    let tokens = [
        (
            "alg none",
            format!("{}.{}.", part(&json!({ "alg": "none" })), part(&good)),
        ),
        (
            "alg None",
            format!("{}.{}.", part(&json!({ "alg": "None" })), part(&good)),
        ),
        ("alg nOnE, signed", signed(&json!({ "alg": "nOnE" }), &good, key)),
        ("no signature part", head.clone()),
        ("an empty signature", format!("{head}.")),
        (
            "another signature",
            format!("{head}.{}", tail.chars().rev().collect::<String>()),
        ),
        (
            "signed with the public key",
            signed(&hs256, &good, PUBLIC_KEY.as_bytes()),
        ),
        (
            "signed with the public key, trimmed",
            signed(&hs256, &good, PUBLIC_KEY.trim().as_bytes()),
        ),
        ("signed with nothing", signed(&hs256, &good, b"")),
        ("signed with another secret", signed(&hs256, &good, &key[1..])),
        ("HS384", signed(&json!({ "alg": "HS384" }), &good, key)),
        (
            "ES256 without its key",
            signed(&json!({ "alg": "ES256" }), &good, key),
        ),
        ("a kid that is a path", header(json!({ "kid": "../../dev/null" }))),
        ("a kid that is SQL", header(json!({ "kid": "' OR 1=1 --" }))),
        ("a jku", header(json!({ "jku": "https://evil.example/keys" }))),
        ("an x5u", header(json!({ "x5u": "https://evil.example/cert" }))),
        (
            "its own key",
            header(json!({ "jwk": { "kty": "oct", "k": URL_SAFE_NO_PAD.encode(key) } })),
        ),
        (
            "an extension that must be understood",
            header(json!({ "crit": ["x"], "x": 1 })),
        ),
        ("another kind of token", header(json!({ "typ": "refresh+jwt" }))),
        (
            "a refresh token by its claim",
            token(with(&good, "token_use", json!("refresh"))),
        ),
        ("no exp", token(without(&good, "exp"))),
        ("exp never", token(with(&good, "exp", json!("never")))),
        (
            "exp as text",
            token(with(&good, "exp", json!((now + 600).to_string()))),
        ),
        ("expired a minute ago", token(with(&good, "exp", json!(now - 61)))),
        ("expired just now", token(with(&good, "exp", json!(now - 1)))),
        ("nbf as text", token(with(&good, "nbf", json!("2999-01-01")))),
        ("nbf in the future", token(with(&good, "nbf", json!(now + 300)))),
        (
            "another issuer",
            token(with(&good, "iss", json!("https://evil.example"))),
        ),
        ("no issuer", token(without(&good, "iss"))),
        ("another audience", token(with(&good, "aud", json!("shop")))),
        (
            "other audiences",
            token(with(&good, "aud", json!(["shop", "mail"]))),
        ),
        ("no audience", token(without(&good, "aud"))),
        ("no sub", token(without(&good, "sub"))),
        ("a sub that is no id", token(with(&good, "sub", json!("alice")))),
        ("the sub of nobody", token(with(&good, "sub", json!(Uuid::nil())))),
        ("a role that is none", token(with(&good, "role", json!("root")))),
        ("roles as a list", token(with(&good, "role", json!(["admin"])))),
        ("the role written in", claimed("admin")),
        (
            "a session that was revoked",
            token(with(&good, "sid", json!("gone"))),
        ),
        ("64 KiB", token(with(&good, "x", json!("x".repeat(48_000))))),
        ("no token at all", "x".to_owned()),
        ("three dots", "...".to_owned()),
    ];
    let rows: Vec<Wrong> = tokens
        .into_iter()
        .map(|(what, token)| {
            Wrong::operation(
                what,
                &token,
                "mutation { createWallet(input: {}) { id } }",
                json!({}),
            )
            .status(401)
            .code("UNAUTHENTICATED")
        })
        .collect();
    assert_refused(&app, &rows).await;

    // The good ones among them are believed: the rows above fail for their own reason.
    for token in [
        believed,
        token(with(&good, "aud", json!(["mail", "wallet"]))),
        header(json!({ "kid": "2026-11" })),
    ] {
        let answer = app
            .post(Some(&token), &json!({ "query": "{ wallets { id } }" }), &[])
            .await;
        assert_eq!(answer.data(), json!([]));
    }
    app.finish().await;
}
