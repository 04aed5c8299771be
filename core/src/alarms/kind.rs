//! The kinds of alarms. `docs/operations.md` describes every one, with what to do.

use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// The kind of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, Display, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum AlarmKind {
    /// Another amount was received than was requested; it lies in suspense.
    PaymentMismatch,
    /// Money was received for a transaction that had ended; it lies in suspense.
    LatePayment,
    /// A refund of what lies in suspense did not reach the payer; the money lies in suspense again.
    ReturnFailed,
    /// The reported end of a dispute and what the dispute did to the balance do not agree; the ledger follows the balance.
    DisputeDiffers,
    /// The queue's Redis held something that is no task of ours; it was put aside.
    QueueGarbage,
    /// A wallet's money is kept waiting by a lock that no worker of ours can rightfully hold.
    LockOverdue,
    /// Fewer than a majority of the lock nodes can be written to, so no wallet can be locked.
    LockQuorumLost,
    /// The data keys of some people are under a wrapping key that is not configured.
    EncryptionKeyMissing,
    /// Stripe refuses the platform's key, so nothing that needs Stripe continues.
    StripeKeyRefused,
    /// Stripe pays the platform's balance, and with it users' money, out by a schedule of its own.
    PlatformPayoutSchedule,
    /// A configured settlement currency is not among those in which, according to Stripe, it pays the platform.
    PlatformSettlement,
    /// The connected account paid itself out before our payout was made, perhaps with the money of a withdrawal.
    PayoutByOthers,
    /// Stripe no longer shows us the payout of a withdrawal, so how it ends cannot be observed.
    PayoutUnreachable,
    /// The connected account does not have the money that our transfer sent, so the payout of a withdrawal waits for it.
    PayoutUnfunded,
    /// A Stripe object claims to be made by us for a transaction and is not, or it is recorded for another transaction already.
    ForeignObject,
    /// Stripe has several objects that one call of ours may have created.
    MadeTwice,
    /// A job is parked: it goes no further by itself.
    JobParked,
    /// A Stripe event is parked: it goes no further by itself.
    EventParked,
    /// A Stripe event came twice, with different bodies.
    EventBodyDiffers,
    /// What was reported contradicts what has happened.
    Contradiction,
    /// What was reported belongs to no transaction here.
    UnknownTransaction,
    /// More is disputed than is left of the payment.
    DisputeExceedsPayment,
    /// A transfer was reversed at Stripe, but not by us.
    TransferReversedOutside,
    /// A payment was credited, and settled in another currency.
    SettlementDiffers,
    /// A person owes more than the configured limit.
    DebtAboveLimit,
    /// An invariant of the database is violated.
    InvariantViolated,
    /// The ledger and Stripe do not agree, and nothing explains it.
    ReconciliationDiffers,
    /// A check failed several times in a row.
    CheckNotMade,
    /// Stripe holds less than the wallets hold.
    PlatformBalanceShort,
    /// Stripe holds less than the ledger explains.
    PlatformBalanceTaken,
    /// Stripe refuses to open connected accounts for the platform, so no new person can be paid out.
    OnboardingRefused,
    /// Stripe keeps back, as a security, a part of what the wallets hold, so that it cannot be sent for now.
    PlatformBalanceReserved,
    /// A check has stopped money from leaving.
    MoneyOutStopped,
    /// A partition of one of the next months could not be created.
    PartitionsMissing,
}

column_of!(AlarmKind, Text);

impl AlarmKind {
    /// The kinds about a withdrawal that goes no further by itself and whose end an operator must find out: the subject is the withdrawal.
    pub const ABOUT_PAYOUTS: [Self; 3] = [
        Self::PayoutUnreachable,
        Self::PayoutByOthers,
        Self::PayoutUnfunded,
    ];
}
