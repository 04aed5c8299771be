//! Accepting a request: check it, then write the pending transaction, its job, its first timeline line, its idempotency key and
//! its audit record in one transaction. Nothing here changes a balance.

mod bare_digests;
mod caller;
mod cancel;
mod checks;
mod deposit;
mod error;
mod found;
mod freeze;
mod idempotency;
mod onboarding;
mod refund;
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
pub use found::{Found, open_found};
pub use idempotency::{IdempotencyKey, InvalidKey};
pub use onboarding::{LONGEST_URL, OnboardInput, Onboarding, PayeeError, Payees};
pub use refund::RefundInput;
pub use transfer::TransferInput;
pub use wallet::{BankDetails, CreateWalletInput, NewWallet};
pub use withdraw::WithdrawInput;

use crate::audit::{self, Actor, AuditRecord};
use crate::chaos::{self, Point};
use crate::clock::SharedClock;
use crate::config::{PersonLimits, SettlementCurrencies};
use crate::crypto::{CryptoError, Digester, KeyOwner, Place, Vault};
use crate::db::{Db, DbError, PgConn};
use crate::dispatch::{HandOver, Queued};
use crate::ids::{SharedIds, TransactionId, UserId};
use crate::jobs::{JobKind, NewJob};
use crate::money::Money;
use crate::transactions::{self, Flow, TimelineKind, Transaction};
use crate::wallets::Wallet;

/// How long withdrawals wait after a wallet's payout account was changed, unless configured.
pub const DEFAULT_COOL_OFF: TimeDelta = TimeDelta::hours(24);

/// A transaction that was accepted, now or before under the same key.
struct Accepted {
    transaction: Transaction,
    /// What is left to do once that is committed; nothing where nothing is new.
    queued: Option<Queued>,
}

/// Accepts requests.
#[derive(Debug, Clone)]
pub struct Acceptor {
    db: Db,
    clock: SharedClock,
    ids: SharedIds,
    vault: Arc<Vault>,
    /// Takes the jobs of what was committed to their queue.
    hand_over: HandOver,
    /// How long withdrawals wait after the payout account was changed.
    cool_off: TimeDelta,
    limits: PersonLimits,
    /// In which currencies the platform is paid.
    settlement: SettlementCurrencies,
}

impl Acceptor {
    /// An acceptor on this database, whose jobs go to their queues by `hand_over`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock, ids: SharedIds, vault: Arc<Vault>, hand_over: HandOver) -> Self {
        Self {
            db,
            clock,
            ids,
            vault,
            hand_over,
            cool_off: DEFAULT_COOL_OFF,
            limits: PersonLimits::default(),
            settlement: SettlementCurrencies::default(),
        }
    }

    /// The same acceptor, which lets one person hold no more than this.
    #[must_use]
    pub const fn with_limits(mut self, limits: PersonLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same acceptor, which offers no currency but those in which the platform is paid.
    #[must_use]
    pub fn settling_in(mut self, settlement: SettlementCurrencies) -> Self {
        self.settlement = settlement;
        self
    }

    /// The same acceptor, which lets withdrawals wait so long after a wallet's payout account was changed.
    #[must_use]
    pub const fn cooling_off(mut self, cool_off: TimeDelta) -> Self {
        self.cool_off = cool_off;
        self
    }

    /// The maker of the digests by which repeated requests are known. Asked for before a transaction begins: it may need a connection.
    async fn digester(&self) -> Result<Digester, CryptoError> {
        self.vault.digester(idempotency::DIGESTS).await
    }

    /// Seals a value for a column of a row, or leaves it out.
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

    /// A new, pending transaction of `wallet`; the caller fills in what its type needs.
    fn pending(&self, id: TransactionId, flow: Flow, wallet: &Wallet, amount: Money) -> Transaction {
        Transaction::accepted(id, flow, wallet.id, wallet.user_id, amount, self.clock.now())
    }

    /// The transaction that a repeated key stands for.
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

    /// What was committed, with its job on its way to the workers. A job that Redis has no room for is found by a dispatcher.
    async fn handed_over(&self, accepted: Accepted) -> Transaction {
        chaos::reach(Point::AcceptCommitSent).await;
        let Accepted { transaction, queued } = accepted;
        tracing::info!(
            transaction_id = %transaction.id,
            kind = transaction.transaction_type.as_str(),
            job = queued.map(|queued| queued.job.0),
            "accepted"
        );
        if let Some(queued) = queued {
            self.hand_over.submit(queued);
        }
        chaos::reach(Point::AcceptBeforeAnswer).await;
        transaction
    }

    /// Writes everything that makes a request accepted; the idempotency key is already there.
    async fn write(
        &self,
        conn: &mut PgConn,
        caller: &Caller,
        new: &Transaction,
        kind: JobKind,
    ) -> Result<Accepted, DbError> {
        transactions::insert(conn, new).await?;
        let job = NewJob::for_transaction(kind, new.id, new.wallets(), new.created_at);
        let queued = self.hand_over.insert(conn, &job).await?;
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
        chaos::reach(Point::AcceptBeforeCommit).await;
        Ok(Accepted {
            transaction: new.clone(),
            queued,
        })
    }
}
