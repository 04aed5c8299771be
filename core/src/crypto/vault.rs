//! The vault: sealed values are made and opened here and nowhere else.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::cache::KeyCache;
use super::data_key::DataKey;
use super::{
    CryptoError, Digester, KeyOwner, KeyStore, Place, Sealed, StoredKey, UnreadableKind, WrappingKeys,
};
use crate::clock::SharedClock;
use crate::ids::SharedIds;

/// Seals and opens values for their owners, and creates an owner's data key at its first use.
///
/// Share it in an `Arc`. A call may query the key store over its own connection: seal and open outside database transactions.
pub struct Vault {
    pub(super) wrapping: WrappingKeys,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) clock: SharedClock,
    ids: SharedIds,
    cache: KeyCache,
}

impl Vault {
    /// Returns a vault over the keys in `store`.
    #[must_use]
    pub fn new(wrapping: WrappingKeys, store: Arc<dyn KeyStore>, clock: SharedClock, ids: SharedIds) -> Self {
        Self {
            wrapping,
            store,
            clock,
            ids,
            cache: KeyCache::new(),
        }
    }

    /// Seals a text for its place.
    ///
    /// # Errors
    /// [`CryptoError::Destroyed`] when the owner was erased; another error when the owner's key cannot be obtained.
    pub async fn seal(&self, place: &Place, text: &SecretString) -> Result<Sealed, CryptoError> {
        self.seal_bytes(place, text.expose_secret().as_bytes()).await
    }

    /// Seals bytes for their place.
    ///
    /// # Errors
    /// As [`Vault::seal`].
    pub async fn seal_bytes(&self, place: &Place, value: &[u8]) -> Result<Sealed, CryptoError> {
        self.sealing_key(place.owner).await?.seal(place, value)
    }

    /// Opens a text at its place.
    ///
    /// # Errors
    /// [`CryptoError::Unreadable`] when it was changed or belongs elsewhere, [`CryptoError::Destroyed`] when the owner was
    /// erased; another error when the owner's key cannot be obtained.
    pub async fn open(&self, place: &Place, sealed: &Sealed) -> Result<SecretString, CryptoError> {
        let bytes = self.open_bytes(place, sealed).await?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| CryptoError::Unreadable(UnreadableKind::NotText))?;
        Ok(SecretString::from(text))
    }

    /// Opens bytes at their place. The bytes are wiped when dropped.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub async fn open_bytes(
        &self,
        place: &Place,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (key_id, body) = sealed
            .parts()
            .map_err(|_| CryptoError::Unreadable(UnreadableKind::Rejected))?;
        let key = self.opening_key(place.owner).await?;
        if key.id() != key_id {
            return Err(CryptoError::Unreadable(UnreadableKind::UnknownKey));
        }
        key.open(place, body)
    }

    /// Returns the digester of a purpose, whose key is derived from the system's own.
    ///
    /// # Errors
    /// When the system's key cannot be obtained.
    pub async fn digester(&self, purpose: &'static str) -> Result<Digester, CryptoError> {
        Digester::derived(&*self.sealing_key(KeyOwner::System).await?, purpose)
    }

    /// Destroys a person's data key: everything sealed for them is lost for good, in this process at once and in others within
    /// five minutes. Returns `false` if there was no key left to destroy.
    ///
    /// # Errors
    /// [`CryptoError::ReservedOwner`] for the system's key; another error when the store fails.
    pub async fn destroy_key(&self, owner: KeyOwner) -> Result<bool, CryptoError> {
        if owner.uuid().is_nil() {
            return Err(CryptoError::ReservedOwner);
        }
        let destroyed = self.store.destroy(owner.uuid(), self.clock.now()).await?;
        self.cache.forget(owner.uuid());
        Ok(destroyed)
    }

    async fn sealing_key(&self, owner: KeyOwner) -> Result<Arc<DataKey>, CryptoError> {
        if let Some(key) = self.cached(owner)? {
            return Ok(key);
        }
        let stored = match self.store.load(owner.uuid()).await? {
            Some(stored) => stored,
            None => {
                self.opens_the_system_key().await?;
                self.store.insert_if_absent(self.new_key(owner)?).await?
            }
        };
        self.keep(owner, &stored)
    }

    /// Returns an error if the system's own key cannot be opened. This process then has another system's wrapping key, and a person's
    /// key that it created would be unreadable to the processes that have the right one.
    async fn opens_the_system_key(&self) -> Result<(), CryptoError> {
        if self.cached(KeyOwner::System)?.is_none()
            && let Some(stored) = self.store.load(KeyOwner::System.uuid()).await?
        {
            self.keep(KeyOwner::System, &stored)?;
        }
        Ok(())
    }

    async fn opening_key(&self, owner: KeyOwner) -> Result<Arc<DataKey>, CryptoError> {
        if let Some(key) = self.cached(owner)? {
            return Ok(key);
        }
        let stored = self.store.load(owner.uuid()).await?;
        self.keep(
            owner,
            &stored.ok_or(CryptoError::Unreadable(UnreadableKind::NoKey))?,
        )
    }

    fn cached(&self, owner: KeyOwner) -> Result<Option<Arc<DataKey>>, CryptoError> {
        match owner {
            KeyOwner::User(id) if id.uuid().is_nil() => Err(CryptoError::ReservedOwner),
            _ => Ok(self.cache.get(owner.uuid(), self.clock.now())),
        }
    }

    fn keep(&self, owner: KeyOwner, stored: &StoredKey) -> Result<Arc<DataKey>, CryptoError> {
        let key = Arc::new(self.wrapping.unwrap_key(stored)?);
        self.cache.put(owner.uuid(), Arc::clone(&key), self.clock.now());
        Ok(key)
    }

    fn new_key(&self, owner: KeyOwner) -> Result<StoredKey, CryptoError> {
        let key = DataKey::generate(self.ids.next())?;
        Ok(StoredKey {
            owner: owner.uuid(),
            key_id: key.id(),
            wrapping_key: self.wrapping.current().clone(),
            wrapped: Some(self.wrapping.wrap(owner.uuid(), &key)?),
            created_at: self.clock.now(),
        })
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("wrapping", &self.wrapping)
            .finish_non_exhaustive()
    }
}
