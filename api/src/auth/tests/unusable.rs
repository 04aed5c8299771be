//! Keys that could never verify a token: they stop the start, instead of letting the API refuse everybody.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use wallet_core::config::JwtKey;

use super::super::token::Tokens;
use super::config;

fn refusal(key: JwtKey) -> String {
    match Tokens::new(&config(vec![key])) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_of_another_curve_or_of_too_few_bits_is_told_with_the_mend() {
    for (key, problem) in [
        (include_str!("unusable-secp384r1.pub.pem"), "kind or curve"),
        (include_str!("unusable-secp521r1.pub.pem"), "kind or curve"),
        (include_str!("unusable-secp256k1.pub.pem"), "malformed"),
        (
            include_str!("unusable-rsa1024.pub.pem"),
            "an RSA key of 1024 bits",
        ),
        (include_str!("unusable-ed448.pub.pem"), ""),
        (include_str!("unusable-x25519.pub.pem"), ""),
    ] {
        let told = refusal(JwtKey::Pem(key.to_owned()));
        assert!(
            told.starts_with("JWT_PUBLIC_KEY: is ")
                && told.contains(problem)
                && told.contains("; set it to an RSA key of 2048"),
            "{told}\n{key}"
        );
    }
    for good in [
        include_str!("rsa.pub.pem"),
        include_str!("ec.pub.pem"),
        include_str!("ed.pub.pem"),
    ] {
        assert_eq!(refusal(JwtKey::Pem(good.to_owned())), "");
    }
}

fn ec() -> Value {
    let key = EncodingKey::from_ec_pem(include_bytes!("ec.pem")).unwrap();
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
    jwk["kid"] = json!("ours");
    jwk
}

fn with(changes: &Value) -> Value {
    let mut jwk = ec();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn a_set_without_a_key_for_us_is_told_with_the_reason() {
    // Each letter is six bits, all set.
    let rsa = |letters: usize| {
        let modulus = "_".repeat(letters);
        json!({ "kty": "RSA", "kid": "short", "n": modulus, "e": "AQAB" })
    };
    for (jwk, reason) in [
        (
            with(&json!({ "use": "enc" })),
            "ours: is not for verifying signatures",
        ),
        (
            with(&json!({ "key_ops": ["encrypt"] })),
            "ours: is not for verifying signatures",
        ),
        (with(&json!({ "alg": "ES384" })), "ours: is for another algorithm"),
        (with(&json!({ "y": ec()["x"] })), "ours: is malformed"),
        (with(&json!({ "x": "AQAB" })), "ours: is of another kind or curve"),
        (
            with(&json!({ "crv": "P-384" })),
            "ours: is of another kind or curve",
        ),
        (rsa(172), "short: is an RSA key of 1032 bits"),
        (rsa(1_504), "short: is an RSA key of 9024 bits"),
        (
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "half", "x": "11qYAYKxCrfVS_7TyWQHOg" }),
            "half: is malformed",
        ),
        (with(&json!({ "kid": 7 })), "a key without kid: is malformed"),
        (with(&json!({ "x5c": "one" })), "ours: is malformed"),
        (with(&json!({ "kty": null })), "ours: is of another kind or curve"),
        (json!(null), "a key without kid: is malformed"),
        (json!("text"), "a key without kid: is malformed"),
    ] {
        let set = |keys: &[&Value]| JwtKey::Jwks(json!({ "keys": keys }).to_string());
        let told = refusal(set(&[&jwk]));
        assert!(
            told.starts_with("JWT_JWKS: holds no key for RS256, ES256 or EdDSA (") && told.contains(reason),
            "{told}"
        );
        assert_eq!(
            refusal(set(&[&jwk, &ec()])),
            "",
            "beside one that can be used it is passed over"
        );
    }
    let told = refusal(JwtKey::Jwks("{\"keys\":7}".to_owned()));
    assert!(told.starts_with("JWT_JWKS: is not understood; "), "{told}");
}
