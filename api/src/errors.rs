//! Every error a client can get, its code in the public contract, and where each internal error belongs.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use wallet_core::accept::{AcceptError, InvalidKey, PayeeError};
use wallet_core::crypto::CryptoError;
use wallet_core::db::DbError;
use wallet_core::inbox::InboxError;

type Cause = Arc<dyn Error + Send + Sync>;

/// What a client is told. The text of each is safe to send: causes are sources, which are logged and never sent.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    /// Something in the request is wrong.
    #[error("{field} {problem}")]
    Validation {
        /// The field of the input, or the part of the request.
        field: Cow<'static, str>,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// What changes something does not travel in an address.
    #[error(
        "query holds a mutation or a subscription: send it as JSON to POST /graphql, or subscribe at /graphql/ws"
    )]
    OnlyByPost,
    /// No token, or one that is not believed.
    #[error("a valid access token is needed: send Authorization: Bearer …")]
    Unauthenticated,
    /// A token that was believed once: its time is over, or its session was revoked.
    #[error("the access token has expired or its session was ended: get a new token")]
    TokenEnded,
    /// Not for this person; the sentence says who may.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such wallet, or somebody else's.
    #[error("there is no such wallet")]
    WalletNotFound {
        /// The argument that names it.
        field: &'static str,
    },
    /// No such wallet to receive.
    #[error("toWalletId is the id of no wallet")]
    PayeeNotFound,
    /// No such transaction, or somebody else's.
    #[error("there is no such transaction")]
    TransactionNotFound {
        /// The argument that names it.
        field: &'static str,
    },
    /// The wallet was deactivated.
    #[error("the wallet is not active; ask support to activate it")]
    WalletInactive,
    /// The wallet that was to receive was deactivated.
    #[error("the receiving wallet takes no money at present; ask its owner for another one")]
    PayeeInactive,
    /// Less is spendable than asked for.
    #[error("the wallet's balance is too low")]
    InsufficientFunds,
    /// Two wallets of different currencies.
    #[error("the wallets hold different currencies")]
    CurrencyMismatch,
    /// The key stood for another request before.
    #[error("this idempotency key was used for another request; use a new one")]
    IdempotencyConflict,
    /// The state of things does not allow it.
    #[error("{0}")]
    InvalidState(String),
    /// More of something at once than is allowed.
    #[error("{0}")]
    LimitExceeded(Cow<'static, str>),
    /// Too many requests in a minute.
    #[error("too many requests; try again in {retry_after} s")]
    RateLimited {
        /// Seconds until it is worth another try, at least one.
        retry_after: u64,
    },
    /// Something we need is away; the same request may succeed later.
    #[error("the service is not available at the moment; try again")]
    Unavailable(#[source] Cause),
    /// The same, of a mutation that takes an idempotency key: it may have been accepted all the same.
    #[error("the service is not available at the moment; try again with the same idempotency key")]
    UnavailableToKey(#[source] Cause),
    /// Something we need is away, and it is known for how long at least.
    #[error("the service is not available at the moment; try again in {retry_after} s")]
    Paused {
        /// Seconds until it is worth another try, at least one.
        retry_after: u64,
    },
    /// A fault of ours.
    #[error("something went wrong on our side; tell support the request id")]
    Internal(#[source] Cause),
}

impl ApiError {
    /// A wrong field or part of the request.
    pub(crate) fn validation(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::Validation {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// As told by what names the caller's wallet by another argument than most mutations do.
    pub(crate) fn of_wallet_in(self, argument: &'static str) -> Self {
        match self {
            Self::WalletNotFound { .. } => Self::WalletNotFound { field: argument },
            other => other,
        }
    }

    /// The argument, or the field of the input, that it is about; none when it is about none, or nobody can tell.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Validation { field, .. } => Some(field.as_ref()),
            Self::WalletNotFound { field } | Self::TransactionNotFound { field } => Some(*field),
            Self::PayeeNotFound | Self::PayeeInactive | Self::CurrencyMismatch => Some("toWalletId"),
            Self::InsufficientFunds => Some("amount"),
            Self::IdempotencyConflict => Some("idempotencyKey"),
            Self::OnlyByPost => Some("query"),
            _ => None,
        }
    }

    /// A fault of ours.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }

    /// As a mutation tells it to whoever has sent an idempotency key.
    pub(crate) fn with_key(self, has_key: bool) -> Self {
        match self {
            Self::Unavailable(cause) if has_key => Self::UnavailableToKey(cause),
            other => other,
        }
    }

    /// Its code in the contract.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Validation { .. } | Self::OnlyByPost => VALIDATION_ERROR,
            Self::Unauthenticated | Self::TokenEnded => "UNAUTHENTICATED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::WalletNotFound { .. } | Self::PayeeNotFound => "WALLET_NOT_FOUND",
            Self::TransactionNotFound { .. } => "TRANSACTION_NOT_FOUND",
            Self::WalletInactive | Self::PayeeInactive => "WALLET_INACTIVE",
            Self::InsufficientFunds => "INSUFFICIENT_FUNDS",
            Self::CurrencyMismatch => "CURRENCY_MISMATCH",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::InvalidState(_) => "INVALID_STATE",
            Self::LimitExceeded(_) => "LIMIT_EXCEEDED",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable(_) | Self::UnavailableToKey(_) | Self::Paused { .. } => "SERVICE_UNAVAILABLE",
            Self::Internal(_) => INTERNAL,
        }
    }
}

/// The code of what GraphQL itself refuses.
pub(crate) const VALIDATION_ERROR: &str = "VALIDATION_ERROR";
/// The code of a fault of ours.
pub(crate) const INTERNAL: &str = "INTERNAL";

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Validation { field, problem } => Self::validation(field, problem),
            AcceptError::WalletNotFound => Self::WalletNotFound { field: "walletId" },
            AcceptError::PayeeNotFound => Self::PayeeNotFound,
            AcceptError::TransactionNotFound => Self::TransactionNotFound {
                field: "transactionId",
            },
            AcceptError::WalletInactive => Self::WalletInactive,
            AcceptError::PayeeInactive => Self::PayeeInactive,
            AcceptError::InsufficientFunds => Self::InsufficientFunds,
            AcceptError::CurrencyMismatch => Self::CurrencyMismatch,
            AcceptError::IdempotencyConflict => Self::IdempotencyConflict,
            AcceptError::InvalidState(mend) | AcceptError::PayoutAccountNotReady { sentence: mend, .. } => {
                Self::InvalidState(mend)
            }
            AcceptError::LimitExceeded(mend) => Self::LimitExceeded(mend.into()),
            AcceptError::Forbidden(who_may) => Self::Forbidden(who_may),
            AcceptError::Db(error) => error.into(),
            AcceptError::Crypto(error) => error.into(),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_transient() {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Internal(Arc::new(error))
        }
    }
}

impl From<Arc<DbError>> for ApiError {
    /// An error that several were told.
    fn from(error: Arc<DbError>) -> Self {
        if error.is_transient() {
            Self::Unavailable(error)
        } else {
            Self::Internal(error)
        }
    }
}

impl From<CryptoError> for ApiError {
    fn from(error: CryptoError) -> Self {
        match error {
            // The person was erased: their tokens may live a little longer.
            CryptoError::Destroyed => {
                Self::Forbidden("the data of this person was erased, so nothing can be kept for them")
            }
            CryptoError::Store(_) => Self::Unavailable(Arc::new(error)),
            _ => Self::Internal(Arc::new(error)),
        }
    }
}

impl From<InboxError> for ApiError {
    /// Whatever the reason, Stripe is to send it again.
    fn from(error: InboxError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

impl From<PayeeError> for ApiError {
    fn from(error: PayeeError) -> Self {
        match error {
            PayeeError::Refused(error) => error.into(),
            PayeeError::Paused { seconds } => Self::Paused {
                retry_after: seconds.max(1),
            },
            PayeeError::Away(_) => Self::Unavailable(Arc::new(error)),
            PayeeError::Broken(_) => Self::Internal(Arc::new(error)),
        }
    }
}

impl From<InvalidKey> for ApiError {
    fn from(error: InvalidKey) -> Self {
        Self::validation("idempotencyKey", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use wallet_core::error_chain::chain;
    use wallet_core::stripe::{CallError, ErrorClass, StripeError};

    use super::*;

    #[test]
    fn each_reason_of_a_refusal_has_its_code() {
        let unavailable = || DbError::Unavailable("down".into());
        let broken = || DbError::Inconsistent {
            table: "wallets",
            column: "currency",
            row: "1".to_owned(),
        };
        for (error, code) in [
            (
                AcceptError::validation("amount", "must be greater than zero"),
                "VALIDATION_ERROR",
            ),
            (AcceptError::WalletNotFound, "WALLET_NOT_FOUND"),
            (AcceptError::PayeeNotFound, "WALLET_NOT_FOUND"),
            (AcceptError::TransactionNotFound, "TRANSACTION_NOT_FOUND"),
            (AcceptError::WalletInactive, "WALLET_INACTIVE"),
            (AcceptError::PayeeInactive, "WALLET_INACTIVE"),
            (AcceptError::InsufficientFunds, "INSUFFICIENT_FUNDS"),
            (AcceptError::CurrencyMismatch, "CURRENCY_MISMATCH"),
            (AcceptError::IdempotencyConflict, "IDEMPOTENCY_CONFLICT"),
            (
                AcceptError::InvalidState("no account".to_owned()),
                "INVALID_STATE",
            ),
            (AcceptError::Forbidden("only an operator may"), "FORBIDDEN"),
            (AcceptError::Db(unavailable()), "SERVICE_UNAVAILABLE"),
            (AcceptError::Db(broken()), "INTERNAL"),
            (AcceptError::Crypto(CryptoError::Destroyed), "FORBIDDEN"),
            (AcceptError::Crypto(CryptoError::ReservedOwner), "INTERNAL"),
        ] {
            assert_eq!(ApiError::from(error).code(), code);
        }
    }

    #[test]
    fn each_reason_of_a_refused_payout_account_has_its_code() {
        let call = || CallError::Stripe(StripeError::new(ErrorClass::Unknown));
        for (error, code) in [
            (
                PayeeError::Refused(AcceptError::WalletNotFound),
                "WALLET_NOT_FOUND",
            ),
            (
                PayeeError::Refused(AcceptError::InvalidState("no".to_owned())),
                "INVALID_STATE",
            ),
            (PayeeError::Paused { seconds: 0 }, "SERVICE_UNAVAILABLE"),
            (PayeeError::Away(call()), "SERVICE_UNAVAILABLE"),
            (PayeeError::Broken(call()), "INTERNAL"),
        ] {
            assert_eq!(ApiError::from(error).code(), code);
        }
        let paused = ApiError::from(PayeeError::Paused { seconds: 0 });
        assert!(matches!(paused, ApiError::Paused { retry_after: 1 }));
    }

    #[test]
    fn only_what_takes_a_key_is_to_be_tried_again_with_it() {
        let away = || ApiError::from(DbError::Unavailable("down".into()));
        let (without, with) = (away(), away().with_key(true));
        assert_eq!(
            without.to_string(),
            "the service is not available at the moment; try again"
        );
        assert_eq!(
            with.to_string(),
            "the service is not available at the moment; try again with the same idempotency key"
        );
        assert_eq!(
            (without.code(), with.code()),
            ("SERVICE_UNAVAILABLE", "SERVICE_UNAVAILABLE")
        );
        assert_eq!(
            chain(&without).matches("down").count(),
            chain(&with).matches("down").count()
        );
    }

    #[test]
    fn causes_are_logged_and_not_told() {
        let error = ApiError::from(DbError::Unavailable("no route to 10.0.0.7".into()));
        assert!(!error.to_string().contains("10.0.0.7"));
        assert!(chain(&error).ends_with("no database connection available: no route to 10.0.0.7"));
    }
}
