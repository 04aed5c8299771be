//! Accepting a request: check it, then write the pending transaction, its job, its first timeline line, its idempotency key and
//! its audit record in one database transaction. Nothing here changes a balance.

mod bare_digests;
mod caller;
mod cancel;
mod checks;
mod deposit;
mod error;
mod external_movement;
mod idempotency;
mod onboarding;
mod refund;
mod set_active;
mod text;
mod transfer;
mod wallet;
mod withdraw;

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

pub use bare_digests::key_bare_digests;
pub use caller::{Caller, Role};
pub use deposit::DepositInput;
pub use error::AcceptError;
pub use external_movement::{ExternalMovement, open_external_movement};
pub use idempotency::{IdempotencyKey, InvalidKey};
pub use onboarding::{LONGEST_URL, OnboardInput, Onboarding, PayeeError, Payees};
pub use refund::RefundInput;
pub use transfer::TransferInput;
pub use wallet::{BankDetails, CreateWalletInput, NewWallet};
pub use withdraw::WithdrawInput;

use crate::audit::{self, Actor, AuditRecord};
use crate::clock::SharedClock;
use crate::config::{PersonLimits, SettlementCurrencies};
use crate::crypto::{CryptoError, Digester, KeyOwner, Place, Vault};
use crate::db::{Db, DbError, PgConn};
use crate::dispatch::{Queued, Submitter};
use crate::failpoints::{self, Point};
use crate::ids::{SharedIds, TransactionId, UserId};
use crate::jobs::{JobKind, NewJob};
use crate::money::Money;
use crate::transactions::{self, Flow, TimelineKind, Transaction};
use crate::wallets::Wallet;

/// How long withdrawals are refused after a change of the payout account, unless configured otherwise.
pub const DEFAULT_COOL_OFF: TimeDelta = TimeDelta::hours(24);

/// A transaction that was accepted by this request, or by an earlier one with the same key.
struct Accepted {
    transaction: Transaction,
    /// The job to submit once the database transaction is committed; `None` if nothing new was written.
    queued: Option<Queued>,
}

/// Accepts requests.
#[derive(Debug, Clone)]
pub struct Acceptor {
    db: Db,
    clock: SharedClock,
    ids: SharedIds,
    vault: Arc<Vault>,
    /// Submits the jobs of committed transactions to their queues.
    submitter: Submitter,
    /// How long withdrawals are refused after a change of the payout account.
    cool_off: TimeDelta,
    limits: PersonLimits,
    /// The currencies that Stripe settles to the platform.
    settlement_currencies: SettlementCurrencies,
}

impl Acceptor {
    /// Creates an acceptor on this database, which submits its jobs through `submitter`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, ids: SharedIds, vault: Arc<Vault>, submitter: Submitter) -> Self {
        Self {
            db,
            clock,
            ids,
            vault,
            submitter,
            cool_off: DEFAULT_COOL_OFF,
            limits: PersonLimits::default(),
            settlement_currencies: SettlementCurrencies::default(),
        }
    }

    /// Returns the same acceptor with these limits for each person.
    #[must_use]
    pub const fn with_limits(mut self, limits: PersonLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the same acceptor, which offers only these settlement currencies.
    #[must_use]
    pub fn settling_in(mut self, currencies: SettlementCurrencies) -> Self {
        self.settlement_currencies = currencies;
        self
    }

    /// Returns the same acceptor, which refuses withdrawals for this long after a change of the payout account.
    #[must_use]
    pub const fn cooling_off(mut self, cool_off: TimeDelta) -> Self {
        self.cool_off = cool_off;
        self
    }

    /// Returns the digester by which repeated requests are recognised. Call it before a database transaction begins: it may need a connection.
    async fn digester(&self) -> Result<Digester, CryptoError> {
        self.vault.digester(idempotency::DIGESTS).await
    }

    /// Seals a value for a column of a row; returns `None` if there is no value.
    async fn seal(
        &self,
        table: &'static str,
        column: &'static str,
        row: uuid::Uuid,
        owner: UserId,
        value: Option<String>,
    ) -> Result<Option<String>, CryptoError> {
        let Some(value) = value else { return Ok(None) };
        let place = Place::new(table, column, row, KeyOwner::User(owner));
        Ok(Some(self.vault.seal(&place, &value.into()).await?.into_string()))
    }

    /// Creates a pending transaction of `wallet`; the caller fills in what its type needs.
    fn pending(&self, id: TransactionId, flow: Flow, wallet: &Wallet, amount: Money) -> Transaction {
        Transaction::accepted(id, flow, wallet.id, wallet.user_id, amount, self.clock.now())
    }

    /// Returns the transaction that a repeated key stands for.
    async fn repeated(conn: &mut PgConn, subject: idempotency::Subject) -> Result<Accepted, AcceptError> {
        // The fingerprint names the operation, so a transaction's key never stands for a wallet.
        let idempotency::Subject::Transaction(id) = subject else {
            return Err(AcceptError::IdempotencyConflict);
        };
        let transaction = transactions::find(conn, id)
            .await?
            .ok_or(AcceptError::TransactionNotFound)?;
        Ok(Accepted {
            transaction,
            queued: None,
        })
    }

    /// Submits the job of what was committed, and returns the transaction. A job that cannot be submitted now is found later by a dispatcher.
    async fn dispatched(&self, accepted: Accepted) -> Transaction {
        failpoints::reach(Point::AcceptCommitSent).await;
        let Accepted { transaction, queued } = accepted;
        tracing::info!(
            transaction_id = %transaction.id,
            kind = transaction.transaction_type.as_str(),
            job = queued.map(|queued| queued.job.0),
            "accepted"
        );
        if let Some(queued) = queued {
            self.submitter.submit(queued);
        }
        failpoints::reach(Point::AcceptBeforeAnswer).await;
        transaction
    }

    /// Writes everything that makes a request accepted, except the idempotency key, which is written already.
    async fn write(
        &self,
        conn: &mut PgConn,
        caller: &Caller,
        new: &Transaction,
        kind: JobKind,
    ) -> Result<Accepted, DbError> {
        transactions::insert(conn, new).await?;
        let job = NewJob::for_transaction(kind, new.id, new.wallets(), new.created_at);
        let queued = self.submitter.insert(conn, &job).await?;
        let message = format!("{} of {} accepted", new.transaction_type, new.amount);
        transactions::record(
            conn,
            new.id,
            self.ids.next(),
            new.created_at,
            TimelineKind::Accepted,
            &message,
            None,
        )
        .await?;
        let actor = Actor::User(caller.user_id);
        let entry = AuditRecord {
            request_id: caller.request_id.as_deref(),
            transactions: &[new.id],
            wallets: &new.wallets(),
            detail: json!({ "type": new.transaction_type.as_str(), "flow": new.flow.as_str(), "role": caller.role.as_str() }),
            ..AuditRecord::new(new.created_at, &actor, "accept")
        };
        audit::record(conn, &entry).await?;
        failpoints::reach(Point::AcceptBeforeCommit).await;
        Ok(Accepted {
            transaction: new.clone(),
            queued,
        })
    }
}
