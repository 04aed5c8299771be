//! The enums of the schema: the domain's, in upper case.

use async_graphql::Enum;

/// What kind of movement a transaction is.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::TransactionType")]
pub(crate) enum TransactionType {
    /// Money from outside into a wallet.
    Deposit,
    /// Money out of a wallet to its owner's bank.
    Withdrawal,
    /// Money from wallet to wallet.
    Transfer,
    /// Money from wallet to wallet, with a fee.
    Payment,
    /// Money back.
    Refund,
}

/// What kind of movement a transaction is, exactly: a type can be several.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::Flow")]
pub(crate) enum TransactionFlow {
    /// Money from outside into a wallet.
    Deposit,
    /// Money out of a wallet to its owner's bank.
    Withdrawal,
    /// Money from wallet to wallet.
    Transfer,
    /// Money from wallet to wallet, with a fee.
    Payment,
    /// All or a part of a payment back to the payer.
    PaymentRefund,
    /// All or a part of a deposit back to the payer's card or bank.
    DepositRefund,
    /// A refund of a deposit that somebody made at Stripe itself.
    OutsideRefund,
    /// A refund that failed after it had succeeded: the money is back.
    RefundReturn,
    /// A payout that failed after it had been paid: the money is back.
    PayoutReturn,
    /// The payer's bank disputes a deposit. CANCELLED: it ended, and nothing was taken. COMPLETED: it ended, and the money went back.
    Dispute,
    /// What a dispute gave back after its end.
    DisputeReturn,
    /// What a dispute took after its end.
    DisputeLoss,
    /// What was taken of a wallet for what its owner owed the platform.
    DebtPayment,
}

/// How far a transaction is; the last three are final.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::TransactionStatus")]
pub(crate) enum TransactionStatus {
    /// Accepted, nothing has happened yet.
    Pending,
    /// Under way; what it needs is held.
    Processing,
    /// Done.
    Completed,
    /// Ended without effect; failureReason says why.
    Failed,
    /// Taken back before anything irreversible happened; of a dispute, that it ended and took nothing.
    Cancelled,
}

/// Why a transaction failed or was cancelled: the first word of failureReason. More may be added.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::FailureCode")]
pub(crate) enum FailureCode {
    /// Too little money when it counted.
    InsufficientFunds,
    /// A wallet was deactivated meanwhile.
    WalletInactive,
    /// Two wallets of different currencies.
    CurrencyMismatch,
    /// The payee's balance would leave its range.
    LimitExceeded,
    /// The payer's bank or card refused.
    PaymentDeclined,
    /// The payment was cancelled or ran out.
    PaymentCancelled,
    /// The connected account cannot be paid, or is another person's.
    PayoutAccountRefused,
    /// The bank sent the payout back.
    PayoutFailed,
    /// Stripe refused for another reason.
    StripeRefused,
    /// Its owner took it back.
    CancelledByOwner,
    /// Support took it back.
    CancelledByOperator,
    /// Nobody paid in time.
    PaymentExpired,
    /// More was to be refunded than is left of the original.
    RefundExceedsOriginal,
    /// The payer's bank disputes the payment: it decides first.
    Disputed,
    /// The refund did not reach the payer.
    RefundFailed,
    /// The dispute ended in the payee's favour.
    DisputeWon,
    /// The dispute, or the inquiry, ended without a decision for the payee, and nothing was taken.
    DisputeClosed,
    /// What came instead of the deposit was returned to the payer.
    ReturnedToPayer,
}

/// How a deposit is paid.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::PaymentMethod")]
pub(crate) enum PaymentMethod {
    /// Whatever Stripe offers the payer.
    Stripe,
    /// The bank debit of the currency.
    BankTransfer,
    /// A card, credit or debit: Stripe takes both. The choice is kept on record and does not restrict the card.
    CreditCard,
    /// A card, debit or credit: Stripe takes both. The choice is kept on record and does not restrict the card.
    DebitCard,
}

/// Which way the money goes, seen from a wallet.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the wallet.
    In,
    /// Out of the wallet.
    Out,
}
