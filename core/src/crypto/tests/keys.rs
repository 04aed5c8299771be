//! Data keys: made once, rotated while serving, destroyed for good.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{kind, place, user};
use crate::crypto::testing::{MemoryKeyStore, material, vault, vault_over};
use crate::crypto::{CryptoError, KeyOwner, UnreadableKind, WrappingKeys};

#[tokio::test]
async fn concurrent_first_uses_end_with_one_key() {
    let store = Arc::<MemoryKeyStore>::default();
    let keys = WrappingKeys::new(material(1), Vec::new());
    let vaults: Vec<_> = (0..20)
        .map(|_| Arc::new(vault_over(&store, keys.clone()).0))
        .collect();
    let home = place("row", user(1));
    let sealing = vaults.iter().map(|vault| vault.seal_bytes(&home, b"value"));
    let sealed = futures::future::try_join_all(sealing).await.unwrap();
    assert_eq!(store.rows.lock().unwrap().len(), 1);
    for value in &sealed {
        assert_eq!(
            vaults[0].open_bytes(&home, value).await.unwrap().as_slice(),
            b"value"
        );
    }
}

#[tokio::test]
async fn a_destroyed_key_reads_and_seals_nothing_more() {
    let store = Arc::<MemoryKeyStore>::default();
    let keys = WrappingKeys::new(material(1), Vec::new());
    let (here, _) = vault_over(&store, keys.clone());
    let (there, clock) = vault_over(&store, keys);
    let home = place("row", user(1));
    let sealed = here.seal_bytes(&home, b"value").await.unwrap();
    there.open_bytes(&home, &sealed).await.unwrap();

    assert!(here.destroy_key(user(1)).await.unwrap());
    assert!(!here.destroy_key(user(1)).await.unwrap());
    assert!(matches!(
        here.open_bytes(&home, &sealed).await,
        Err(CryptoError::Destroyed)
    ));
    assert!(matches!(
        here.seal_bytes(&home, b"new").await,
        Err(CryptoError::Destroyed)
    ));
    clock.advance(TimeDelta::minutes(5));
    assert!(matches!(
        there.open_bytes(&home, &sealed).await,
        Err(CryptoError::Destroyed)
    ));
}

#[tokio::test]
async fn nobody_gets_at_the_systems_key_as_a_user() {
    let vault = vault();
    let system = vault
        .seal_bytes(&place("row", KeyOwner::System), b"event")
        .await
        .unwrap();
    let posing = place("row", user(0));
    assert!(matches!(
        vault.open_bytes(&posing, &system).await,
        Err(CryptoError::ReservedOwner)
    ));
    assert!(matches!(
        vault.seal_bytes(&posing, b"x").await,
        Err(CryptoError::ReservedOwner)
    ));
    for owner in [user(0), KeyOwner::System] {
        assert!(matches!(
            vault.destroy_key(owner).await,
            Err(CryptoError::ReservedOwner)
        ));
    }
}

#[tokio::test]
async fn rotation_rewraps_every_key_and_the_old_one_can_go() {
    let store = Arc::<MemoryKeyStore>::default();
    let (before, _) = vault_over(&store, WrappingKeys::new(material(1), Vec::new()));
    let mut sealed = Vec::new();
    for number in 1..=1_203 {
        let home = place("row", user(number));
        sealed.push((before.seal_bytes(&home, b"value").await.unwrap(), home));
    }
    before.destroy_key(user(1)).await.unwrap();

    let (during, _) = vault_over(&store, WrappingKeys::new(material(2), vec![material(1)]));
    during.open_bytes(&sealed[5].1, &sealed[5].0).await.unwrap();
    let report = during.rewrap_all(|_| {}).await.unwrap();
    assert_eq!(report.rewrapped, 1_202);
    assert!(report.is_complete());
    assert_eq!(during.rewrap_all(|_| {}).await.unwrap().rewrapped, 0);

    let (after, _) = vault_over(&store, WrappingKeys::new(material(2), Vec::new()));
    for (value, home) in sealed.iter().skip(1) {
        assert_eq!(after.open_bytes(home, value).await.unwrap().as_slice(), b"value");
    }
}

#[tokio::test]
async fn a_wrapping_key_thrown_away_too_early_is_an_error_that_names_it() {
    let store = Arc::<MemoryKeyStore>::default();
    let old = WrappingKeys::new(material(1), Vec::new());
    let home = place("row", user(1));
    let sealed = vault_over(&store, old.clone())
        .0
        .seal_bytes(&home, b"value")
        .await
        .unwrap();

    let (vault, _) = vault_over(&store, WrappingKeys::new(material(2), Vec::new()));
    let error = vault.open_bytes(&home, &sealed).await.unwrap_err();
    assert!(error.to_string().contains(old.current().as_str()));
    assert!(error.to_string().contains("ENCRYPTION_PREVIOUS_KEYS"));
    assert!(matches!(
        vault.seal_bytes(&home, b"x").await,
        Err(CryptoError::WrappingKeyMissing(_))
    ));
    let report = vault.rewrap_all(|_| {}).await.unwrap();
    assert_eq!(
        (
            report.rewrapped,
            report.missing.values().sum::<usize>(),
            report.is_complete()
        ),
        (0, 1, false)
    );
}

#[tokio::test]
async fn a_wrapped_key_moved_to_another_owner_does_not_unwrap() {
    let store = Arc::<MemoryKeyStore>::default();
    let keys = WrappingKeys::new(material(1), Vec::new());
    let (first, _) = vault_over(&store, keys.clone());
    for number in [1, 2] {
        first
            .seal_bytes(&place("row", user(number)), b"value")
            .await
            .unwrap();
    }
    {
        let mut rows = store.rows.lock().unwrap();
        let mut stolen = rows[&user(1).uuid()].clone();
        stolen.owner = user(2).uuid();
        rows.insert(stolen.owner, stolen);
    }
    let (second, _) = vault_over(&store, keys);
    let error = second
        .seal_bytes(&place("row", user(2)), b"value")
        .await
        .unwrap_err();
    assert_eq!(kind(error), UnreadableKind::DataKey);
}

#[tokio::test]
async fn a_process_with_another_systems_key_makes_no_keys_for_people() {
    let store = Arc::<MemoryKeyStore>::default();
    let right = WrappingKeys::new(material(1), Vec::new());
    let (vault, _) = vault_over(&store, right.clone());
    let body = place("row", KeyOwner::System);
    let _ = vault.seal_bytes(&body, b"value").await.unwrap();

    let (wrong, _) = vault_over(&store, WrappingKeys::new(material(2), Vec::new()));
    let home = place("row", user(1));
    for _ in 0..2 {
        let refused = wrong.seal_bytes(&home, b"value").await;
        assert!(
            matches!(refused, Err(CryptoError::WrappingKeyMissing(_))),
            "{refused:?}"
        );
    }
    assert_eq!(store.rows.lock().unwrap().len(), 1, "nothing was stored");
    // A process in the middle of a rotation has both keys, and one with the right key alone works too.
    let (both, _) = vault_over(&store, WrappingKeys::new(material(2), vec![material(1)]));
    let _ = both.seal_bytes(&home, b"value").await.unwrap();
    let _ = vault.seal_bytes(&place("row", user(2)), b"value").await.unwrap();
}
