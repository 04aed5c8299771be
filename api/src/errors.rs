//! Every error that a client can receive, its code in the public contract, and the mapping of internal errors to these.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use wallet_core::accept::{AcceptError, InvalidKey, PayeeError};
use wallet_core::crypto::CryptoError;
use wallet_core::db::DbError;
use wallet_core::inbox::InboxError;

type Cause = Arc<dyn Error + Send + Sync>;

/// An error as clients receive it. Every message is safe to send: causes are kept as sources, which are logged and never sent.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    /// A part of the request is wrong.
    #[error("{field} {problem}")]
    Validation {
        /// The field of the input, or the part of the request.
        field: Cow<'static, str>,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A mutation or a subscription in the address of a GET request.
    #[error(
        "query holds a mutation or a subscription: send it as JSON to POST /graphql, or subscribe at /graphql/ws"
    )]
    OnlyByPost,
    /// There is no token, or an invalid one.
    #[error("a valid access token is needed: send Authorization: Bearer …")]
    Unauthenticated,
    /// The token was valid once, but has expired or its session was revoked.
    #[error("the access token has expired or its session was ended: get a new token")]
    TokenEnded,
    /// The caller may not do this; the message says who may.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The wallet does not exist, or belongs to another person.
    #[error("there is no such wallet")]
    WalletNotFound {
        /// The argument that names the wallet.
        field: &'static str,
    },
    /// The receiving wallet does not exist.
    #[error("toWalletId is the id of no wallet")]
    PayeeNotFound,
    /// The transaction does not exist, or belongs to another person.
    #[error("there is no such transaction")]
    TransactionNotFound {
        /// The argument that names the transaction.
        field: &'static str,
    },
    /// The wallet was deactivated.
    #[error("the wallet is not active; ask support to activate it")]
    WalletInactive,
    /// The receiving wallet was deactivated.
    #[error("the receiving wallet takes no money at present; ask its owner for another one")]
    PayeeInactive,
    /// The spendable balance is lower than the requested amount.
    #[error("the wallet's balance is too low")]
    InsufficientFunds,
    /// The two wallets have different currencies.
    #[error("the wallets hold different currencies")]
    CurrencyMismatch,
    /// The idempotency key was used for another request before.
    #[error("this idempotency key was used for another request; use a new one")]
    IdempotencyConflict,
    /// The current state does not allow the request.
    #[error("{0}")]
    InvalidState(String),
    /// The request exceeds a limit.
    #[error("{0}")]
    LimitExceeded(Cow<'static, str>),
    /// Too many requests in a minute.
    #[error("too many requests; try again in {retry_after} s")]
    RateLimited {
        /// Seconds until a retry is worthwhile, at least one.
        retry_after: u64,
    },
    /// Something that we depend on is unavailable; the same request may succeed later.
    #[error("the service is not available at the moment; try again")]
    Unavailable(#[source] Cause),
    /// The same for a mutation with an idempotency key: it may have been accepted nevertheless.
    #[error("the service is not available at the moment; try again with the same idempotency key")]
    UnavailableToKey(#[source] Cause),
    /// Something that we depend on is unavailable, at least for a known time.
    #[error("the service is not available at the moment; try again in {retry_after} s")]
    Paused {
        /// Seconds until a retry is worthwhile, at least one.
        retry_after: u64,
    },
    /// An error inside the server.
    #[error("something went wrong on our side; tell support the request id")]
    Internal(#[source] Cause),
}

impl ApiError {
    /// Creates the error for a wrong field or part of the request.
    pub(crate) fn validation(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::Validation {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// Sets the argument of [`Self::WalletNotFound`], for fields that do not name the caller's wallet by `walletId`.
    pub(crate) fn of_wallet_in(self, argument: &'static str) -> Self {
        match self {
            Self::WalletNotFound { .. } => Self::WalletNotFound { field: argument },
            other => other,
        }
    }

    /// Returns the argument or the field of the input that the error is about, or `None` if there is none or it is unknown.
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

    /// Creates an error inside the server.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }

    /// Adds the advice to retry with the same idempotency key, if the service is unavailable and the client has sent a key.
    pub(crate) fn with_key(self, has_key: bool) -> Self {
        match self {
            Self::Unavailable(cause) if has_key => Self::UnavailableToKey(cause),
            other => other,
        }
    }

    /// Returns the error's code in the contract.
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

/// The code of a wrong request, including what the GraphQL engine itself refuses.
pub(crate) const VALIDATION_ERROR: &str = "VALIDATION_ERROR";
/// The code of an error inside the server.
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
            AcceptError::InvalidState(fix) | AcceptError::PayoutAccountNotReady { sentence: fix, .. } => {
                Self::InvalidState(fix)
            }
            AcceptError::LimitExceeded(fix) => Self::LimitExceeded(fix.into()),
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
    /// Converts an error that several readers share.
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
            // The person was erased; their tokens may still be valid for a while.
            CryptoError::Destroyed => {
                Self::Forbidden("the data of this person was erased, so nothing can be kept for them")
            }
            CryptoError::Store(_) => Self::Unavailable(Arc::new(error)),
            _ => Self::Internal(Arc::new(error)),
        }
    }
}

impl From<InboxError> for ApiError {
    /// Whatever the cause, Stripe must send the event again.
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
