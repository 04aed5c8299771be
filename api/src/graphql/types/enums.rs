//! The enums of the schema: those of the domain, in upper case.

use async_graphql::Enum;

/// The kind of a transaction.
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
    /// Money that goes back or comes back, or that is taken for a debt; the flow says which.
    Refund,
}

/// The exact kind of a transaction: several flows can be of one type.
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
    /// All or a part of a payment, back to the payer.
    PaymentRefund,
    /// All or a part of a deposit, back to the payer's card or bank.
    DepositRefund,
    /// A refund of a deposit that was made at Stripe itself.
    OutsideRefund,
    /// A refund that failed after it had succeeded: the money has come back.
    RefundReturn,
    /// A payout that failed after it had been paid: the money has come back.
    PayoutReturn,
    /// The payer's bank disputes a deposit. CANCELLED: it ended, and nothing was taken. COMPLETED: it ended, and the money went back.
    Dispute,
    /// Money that a dispute gave back after its end.
    DisputeReturn,
    /// Money that a dispute took after its end.
    DisputeLoss,
    /// Money that was taken from a wallet for what its owner owed the platform.
    DebtPayment,
}

/// How far a transaction has progressed; the last three are final.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::TransactionStatus")]
pub(crate) enum TransactionStatus {
    /// Accepted; nothing has happened yet.
    Pending,
    /// Under way; the money that it needs is held.
    Processing,
    /// Done.
    Completed,
    /// Ended without effect; failureReason says why.
    Failed,
    /// Cancelled before anything irreversible happened; for a dispute, it ended and took nothing.
    Cancelled,
}

/// Why a transaction failed or was cancelled: the first word of failureReason. More may be added.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::FailureCode")]
pub(crate) enum FailureCode {
    /// There was too little money when it was needed.
    InsufficientFunds,
    /// A wallet was deactivated in the meantime.
    WalletInactive,
    /// The two wallets have different currencies.
    CurrencyMismatch,
    /// The payee's balance would leave its allowed range.
    LimitExceeded,
    /// The payer's bank or card refused the payment.
    PaymentDeclined,
    /// The payment was cancelled or expired.
    PaymentCancelled,
    /// The connected account cannot be paid, or is another person's.
    PayoutAccountRefused,
    /// The bank sent the payout back.
    PayoutFailed,
    /// Stripe refused for another reason.
    StripeRefused,
    /// Its owner cancelled it.
    CancelledByOwner,
    /// Support cancelled it.
    CancelledByOperator,
    /// The payment was not made in time.
    PaymentExpired,
    /// The refund would have exceeded what is left of the original.
    RefundExceedsOriginal,
    /// The payer's bank disputes the payment, and the dispute is decided first.
    Disputed,
    /// The refund did not reach the payer.
    RefundFailed,
    /// The dispute ended in the payee's favour.
    DisputeWon,
    /// The dispute, or the inquiry, ended without a decision for the payee, and nothing was taken.
    DisputeClosed,
    /// The money that came instead of the deposit was returned to the payer.
    ReturnedToPayer,
}

/// How a deposit is paid.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "wallet_core::transactions::PaymentMethod")]
pub(crate) enum PaymentMethod {
    /// Any method that Stripe offers the payer.
    Stripe,
    /// The bank debit of the currency.
    BankTransfer,
    /// A card, credit or debit: Stripe takes both. The choice is kept on record and does not restrict the card.
    CreditCard,
    /// A card, debit or credit: Stripe takes both. The choice is kept on record and does not restrict the card.
    DebitCard,
}

/// The direction of the money, seen from a wallet.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the wallet.
    In,
    /// Out of the wallet.
    Out,
}
