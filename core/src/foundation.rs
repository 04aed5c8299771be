//! What every program is built on, assembled in one place: PostgreSQL, the clock, ids, sealing, and Stripe with the record of our calls.

use std::sync::Arc;

use crate::clock::SharedClock;
use crate::config::StripeConfig;
use crate::crypto::{PgKeyStore, Vault, WrappingKeys};
use crate::db::Db;
use crate::ids::{SharedIds, SystemIds};
use crate::inbox::Inbox;
use crate::stripe::{BreakerSettings, Breakers, ClientConfigError, ClientOptions, StripeCalls, StripeClient};

/// What the API, the workers and the operators' commands are built on; cheap to clone.
#[derive(Debug, Clone)]
pub struct Foundation {
    /// PostgreSQL.
    pub db: Db,
    /// The clock.
    pub clock: SharedClock,
    /// The source of new ids.
    pub ids: SharedIds,
    /// Seals and opens the encrypted columns.
    pub vault: Arc<Vault>,
}

impl Foundation {
    /// Assembles the foundation; no connection is made yet.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, keys: WrappingKeys) -> Self {
        let ids: SharedIds = Arc::new(SystemIds::new(Arc::clone(&clock)));
        let store = Arc::new(PgKeyStore::new(db.clone()));
        let vault = Vault::new(keys, store, Arc::clone(&clock), Arc::clone(&ids));
        Self {
            db,
            clock,
            ids,
            vault: Arc::new(vault),
        }
    }

    /// Creates the client for Stripe, with the record of our calls and with circuit breakers of this process.
    ///
    /// # Errors
    /// When the configuration is unusable.
    pub fn stripe_calls(&self, stripe: &StripeConfig) -> Result<StripeCalls, ClientConfigError> {
        let options = ClientOptions::new(stripe.secret_key.clone(), stripe.api_base.as_str());
        Ok(StripeCalls::new(
            self.db.clone(),
            Arc::clone(&self.vault),
            StripeClient::new(&options)?,
            Arc::new(Breakers::new(BreakerSettings::default())),
            Arc::clone(&self.clock),
        ))
    }

    /// Creates the inbox of Stripe's events.
    #[must_use]
    pub fn inbox(&self, stripe: &StripeConfig) -> Inbox {
        Inbox::new(
            self.db.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.vault),
            stripe.live,
        )
    }
}
