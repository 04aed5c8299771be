//! Sealed values: they open at their place, unchanged, and nowhere else.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::{kind, place, secret, user};
use crate::crypto::testing::{MemoryKeyStore, material, vault, vault_over};
use crate::crypto::{KeyOwner, Place, Sealed, UnreadableKind, WrappingKeys};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[tokio::test]
async fn a_value_opens_where_it_was_sealed_and_nowhere_else() {
    let vault = vault();
    let home = place("row-1", user(1));
    let sealed = vault.seal(&home, &secret("DE89 3704 0044")).await.unwrap();
    assert_eq!(
        vault.open(&home, &sealed).await.unwrap().expose_secret(),
        "DE89 3704 0044"
    );
    vault
        .seal(&place("row-1", user(2)), &secret("other"))
        .await
        .unwrap();
    vault
        .seal(&place("row-1", KeyOwner::System), &secret("other"))
        .await
        .unwrap();

    let column = Place {
        column: "encrypted_bank_id",
        ..home.clone()
    };
    let table = Place {
        table: "wallet_transactions",
        ..home.clone()
    };
    for elsewhere in [place("row-2", user(1)), column, table] {
        let error = vault.open(&elsewhere, &sealed).await.unwrap_err();
        assert_eq!(kind(error), UnreadableKind::Rejected, "{elsewhere:?}");
    }
    for owner in [user(2), KeyOwner::System] {
        let error = vault.open(&place("row-1", owner), &sealed).await.unwrap_err();
        assert_eq!(kind(error), UnreadableKind::UnknownKey);
    }
    assert_eq!(
        kind(vault.open(&place("row-1", user(3)), &sealed).await.unwrap_err()),
        UnreadableKind::NoKey
    );
}

#[tokio::test]
async fn another_users_key_id_in_the_text_does_not_help() {
    let vault = vault();
    let (mine, theirs) = (place("row", user(1)), place("row", user(2)));
    let sealed = vault.seal(&mine, &secret("mine")).await.unwrap();
    let (other_key, _) = vault
        .seal(&theirs, &secret("theirs"))
        .await
        .unwrap()
        .parts()
        .unwrap();
    let forged = Sealed::assemble(other_key, &sealed.parts().unwrap().1);
    assert_eq!(
        kind(vault.open(&theirs, &forged).await.unwrap_err()),
        UnreadableKind::Rejected
    );
}

#[tokio::test]
async fn every_cause_reads_the_same() {
    let vault = vault();
    let home = place("row", user(1));
    let sealed = vault.seal(&home, &secret("value")).await.unwrap();
    let (key_id, body) = sealed.parts().unwrap();
    let mut flipped = body.clone();
    flipped[20] ^= 1;
    let not_text = vault.seal_bytes(&home, &[0xff, 0xfe]).await.unwrap();
    let errors = [
        vault.open(&place("other", user(1)), &sealed).await.unwrap_err(),
        vault.open(&place("row", user(9)), &sealed).await.unwrap_err(),
        vault
            .open(&home, &Sealed::assemble(Uuid::from_u128(5), &body))
            .await
            .unwrap_err(),
        vault
            .open(&home, &Sealed::assemble(key_id, &flipped))
            .await
            .unwrap_err(),
        vault
            .open(&home, &Sealed::assemble(key_id, &body[..28]))
            .await
            .unwrap_err(),
        vault
            .open(&home, &Sealed::assemble(key_id, &body[..5]))
            .await
            .unwrap_err(),
        vault.open(&home, &not_text).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), "the sealed value cannot be read");
        assert!(std::error::Error::source(&error).is_none());
    }
}

#[tokio::test]
async fn empty_and_large_values_come_back_whole() {
    let vault = vault();
    let home = place("row", user(1));
    let large = vec![0x5a; 1024 * 1024];
    for value in [&[][..], &large] {
        let sealed = vault.seal_bytes(&home, value).await.unwrap();
        assert_eq!(vault.open_bytes(&home, &sealed).await.unwrap().as_slice(), value);
    }
}

#[tokio::test]
async fn nonces_do_not_repeat() {
    let vault = vault();
    let home = place("row", user(1));
    let mut nonces = HashSet::new();
    for _ in 0..20_000 {
        let (_, body) = vault.seal_bytes(&home, b"same").await.unwrap().parts().unwrap();
        assert!(nonces.insert(body[..12].to_vec()));
    }
}

#[tokio::test]
async fn nothing_prints_or_stores_the_plaintext_or_a_key() {
    const CANARY: &str = "CANARY-GB29NWBK60161331926819";
    let store = Arc::<MemoryKeyStore>::default();
    let (vault, _) = vault_over(&store, WrappingKeys::new(material(1), Vec::new()));
    let sealed = vault.seal(&place("row", user(1)), &secret(CANARY)).await.unwrap();
    let opened = vault.open(&place("row", user(1)), &sealed).await.unwrap();
    let (_, body) = sealed.parts().unwrap();
    let printed = format!(
        "{vault:?} {sealed} {sealed:?} {opened:?} {:?} {:?}",
        store.rows,
        material(1)
    );
    assert!(!printed.contains("CANARY") && !printed.contains("GB29"));
    assert!(
        !printed.contains(&hex::encode(material(1).bytes()))
            && !printed.contains(&URL_SAFE_NO_PAD.encode(material(1).bytes()))
    );
    assert!(!body.windows(6).any(|window| window == b"CANARY"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens(value in proptest::collection::vec(any::<u8>(), 0..2_000), row in ".{0,40}", owner in 1_u128..9) {
        runtime().block_on(async {
            let vault = vault();
            let home = place(&row, user(owner));
            let sealed = vault.seal_bytes(&home, &value).await.unwrap();
            let reread = Sealed::parse(sealed.as_str()).unwrap();
            let opened = vault.open_bytes(&home, &reread).await.unwrap();
            prop_assert_eq!(opened.as_slice(), value.as_slice());
            Ok(())
        })?;
    }
}

/// One bit of the text changed anywhere (version, key id, nonce, ciphertext, tag), or the text cut anywhere.
#[tokio::test]
async fn no_flipped_bit_and_no_cut_goes_unnoticed() {
    let vault = vault();
    let home = place("row", user(1));
    let sealed = vault
        .seal(&home, &secret("a value of some length"))
        .await
        .unwrap();
    let text = sealed.as_str().as_bytes();
    let flips = (0..text.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let flipped = flips.map(|(at, bit)| {
        let mut changed = text.to_vec();
        changed[at] ^= 1 << bit;
        changed
    });
    let cuts = (0..text.len()).map(|length| text[..length].to_vec());
    let mut tried = 0;
    for changed in flipped.chain(cuts) {
        tried += 1;
        let Ok(changed) = String::from_utf8(changed) else {
            continue;
        };
        let Ok(parsed) = Sealed::parse(changed.as_str()) else {
            continue;
        };
        vault.open_bytes(&home, &parsed).await.expect_err(&changed);
    }
    assert_eq!(tried, text.len() * 9);
}
