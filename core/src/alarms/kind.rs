//! The kinds of alarms. An operator finds every one in `docs/operations.md`, with what to do.

use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::db::types::column_of;

/// What kind of trouble.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum AlarmKind {
    /// Another amount was received than was asked for; it lies in suspense.
    PaymentMismatch,
    /// Money was received for what had ended; it lies in suspense.
    LatePayment,
    /// A refund of what lies in suspense did not reach the payer; the money lies in suspense again.
    ReturnFailed,
    /// What is said of a dispute that has ended, and what it did to the balance, do not agree; the books follow the balance.
    DisputeDiffers,
    /// The queue's Redis held what is no task of ours; it was put aside.
    QueueGarbage,
    /// A wallet's lock that no worker of ours can hold lawfully keeps its money waiting.
    LockOverdue,
    /// Fewer than a majority of the lock nodes can be written to, so no wallet can be locked.
    LockQuorumLost,
    /// Data keys of some persons are under a wrapping key that is not configured.
    EncryptionKeyMissing,
    /// Stripe refuses the platform's key, so nothing that needs Stripe goes on.
    StripeKeyRefused,
    /// Stripe pays the platform's balance, and with it users' money, out by a schedule of its own.
    PlatformPayoutSchedule,
    /// A configured settlement currency is none in which Stripe says that it pays the platform.
    PlatformSettlement,
    /// The connected account has paid itself out before our payout was made, perhaps with the money of a withdrawal.
    PayoutByOthers,
    /// Stripe shows the payout of a withdrawal to us no longer, so nobody here learns how it ends.
    PayoutUnreachable,
    /// The connected account does not have the money that our transfer brought, so the payout of a withdrawal waits for it.
    PayoutUnfunded,
    /// An object at Stripe claims to be one that we made for a transaction, and is not.
    ForeignObject,
    /// Stripe has several objects that one call of ours may have made.
    MadeTwice,
    /// A job goes no further by itself.
    JobParked,
    /// An event of Stripe goes no further by itself.
    EventParked,
    /// An event came twice, with different bodies.
    EventBodyDiffers,
    /// What was told cannot follow what has happened.
    Contradiction,
    /// What was told is of no transaction here.
    UnknownTransaction,
    /// More is disputed than is left of the payment.
    DisputeExceedsPayment,
    /// Somebody took a transfer back at Stripe.
    TransferReversedOutside,
    /// A payment was credited, and settled in another currency.
    SettlementDiffers,
    /// A person owes more than is tolerated.
    DebtAboveLimit,
    /// The books do not agree with themselves.
    InvariantViolated,
    /// The books and Stripe do not agree, and nothing explains it.
    ReconciliationDiffers,
    /// A check failed several times in a row.
    CheckNotMade,
    /// Stripe holds less than the wallets hold.
    PlatformBalanceShort,
    /// Stripe holds less than the books explain.
    PlatformBalanceTaken,
    /// Stripe refuses to open connected accounts for the platform, so nobody new can be paid out.
    OnboardingRefused,
    /// Stripe keeps a part of what the wallets hold back as a security, so that it cannot be sent for now.
    PlatformBalanceReserved,
    /// A check has stopped money from leaving.
    MoneyOutStopped,
    /// A partition of the next months could not be made.
    PartitionsMissing,
}

column_of!(AlarmKind, Text);

impl AlarmKind {
    /// Those about a withdrawal that goes no further by itself, whose end a person finds out: its subject is the withdrawal.
    pub const ABOUT_PAYOUTS: [Self; 3] = [
        Self::PayoutUnreachable,
        Self::PayoutByOthers,
        Self::PayoutUnfunded,
    ];
}
