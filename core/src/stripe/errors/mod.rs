//! Every way a call to Stripe can fail, classified in one place by what is known of its effect and what to do next.
//!
//! The table in the tests of this module has a row for each line of Stripe's error lists (<https://docs.stripe.com/error-codes>,
//! <https://docs.stripe.com/error-low-level>) that needs a decision of its own.

mod scope;

use std::fmt;

pub use scope::Scope;

use super::types::PaymentIntent;
use crate::retry::RetryPolicy;

/// The [`StripeError::code`] of an answer that could not be read.
pub(super) const UNREADABLE_ANSWER: &str = "unreadable_answer";

/// The class of a failed call: what the failure shows about its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// No trustworthy answer: the effect may have happened. Timeouts, connections lost after sending, 5xx, 424.
    Unknown,
    /// The answer could not be read: the effect may have happened. Stripe works, but we do not understand this object.
    Unreadable,
    /// The object is in a currency that we never use: it was made by others who share our account at Stripe.
    Foreign,
    /// The first request with this key is still running.
    InUse,
    /// Too many requests; nothing happened.
    RateLimited,
    /// Stripe holds a lock on the object; nothing happened.
    ObjectBusy,
    /// The balance that should pay is not sufficient yet; nothing happened.
    InsufficientPlatformFunds,
    /// The payer's bank or Stripe refused the payment.
    Declined,
    /// The payer must authenticate before the payment can continue.
    AuthenticationRequired,
    /// Stripe refuses this request and always will; nothing happened.
    Refused,
    /// The requested object does not exist.
    NotFound,
    /// The request could not be built, or its key belongs to a request with other parameters: a fault of ours.
    Misuse,
    /// Stripe does not let us act for this connected account, or does so no longer; nothing happened.
    AccountForbidden,
    /// Our key has no permission for this operation on this kind of object; nothing happened.
    KindForbidden,
    /// Stripe does not accept the API key; nothing happened, and no call of any kind will succeed.
    KeyRefused,
    /// No connection was made; nothing happened.
    Unreachable,
}

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Call again with the same key and parameters.
    RetrySameKey {
        /// Whether the try counts towards the job's budget; releasing the job does not.
        counts: bool,
    },
    /// It did not happen and will not: end the transaction as failed and release the hold.
    FailDefinite,
    /// It did not happen: the payer must act, and the transaction waits.
    AwaitPayer,
    /// It did not happen: try later with a new attempt number, and notify the user.
    WaitForFunds,
    /// It did not happen: stop every lane and fail no transaction.
    PauseAll,
    /// It did not happen, and only an operator can change that: retry a few times, in case one is doing so, then raise an alarm.
    RetryThenReview,
    /// Something is wrong on our side: keep the hold and raise an alarm for an operator.
    NeedsReview,
}

impl ErrorClass {
    /// Returns what to do about a failure of this class.
    #[must_use]
    pub const fn disposition(self) -> Disposition {
        match self {
            Self::Unknown | Self::Unreadable => Disposition::RetrySameKey { counts: true },
            Self::InUse | Self::RateLimited | Self::ObjectBusy | Self::Unreachable => {
                Disposition::RetrySameKey { counts: false }
            }
            Self::InsufficientPlatformFunds => Disposition::WaitForFunds,
            Self::Declined | Self::Refused => Disposition::FailDefinite,
            Self::AuthenticationRequired => Disposition::AwaitPayer,
            Self::NotFound | Self::Misuse | Self::Foreign => Disposition::NeedsReview,
            Self::AccountForbidden | Self::KindForbidden => Disposition::RetryThenReview,
            Self::KeyRefused => Disposition::PauseAll,
        }
    }

    /// Returns how long to wait before the next try.
    #[must_use]
    pub const fn retry_policy(self) -> RetryPolicy {
        match self {
            Self::InUse | Self::ObjectBusy => RetryPolicy::STRIPE_BUSY,
            Self::RateLimited
            | Self::Unreachable
            | Self::AccountForbidden
            | Self::KindForbidden
            | Self::KeyRefused => RetryPolicy::STRIPE_THROTTLED,
            Self::InsufficientPlatformFunds => RetryPolicy::FUNDS_MISSING,
            _ => RetryPolicy::STRIPE_UNKNOWN,
        }
    }

    /// Returns whether Stripe is certain to have changed nothing and to have stored nothing under the key.
    #[must_use]
    pub const fn leaves_key_unused(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::ObjectBusy
                | Self::AccountForbidden
                | Self::KindForbidden
                | Self::KeyRefused
                | Self::Unreachable
        )
    }

    /// Returns whether it ends the attempt, so that a later call needs a new key.
    #[must_use]
    pub const fn ends_attempt(self) -> bool {
        matches!(
            self,
            Self::InsufficientPlatformFunds
                | Self::Declined
                | Self::AuthenticationRequired
                | Self::Refused
                | Self::NotFound
        )
    }

    /// Returns whether it shows that Stripe is at fault and not this call.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        matches!(self.scope(), Scope::Lane | Scope::Key)
    }

    /// Returns whether the only way out is to wait: until Stripe works again, or until it has finished an earlier request.
    #[must_use]
    pub const fn waits_for_stripe(self) -> bool {
        matches!(
            self,
            Self::Unknown
                | Self::Unreadable
                | Self::InUse
                | Self::RateLimited
                | Self::ObjectBusy
                | Self::KeyRefused
                | Self::Unreachable
        )
    }

    /// Returns a sentence that may be shown to a user.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unknown | Self::Unreadable | Self::InUse => {
                "the payment provider has not confirmed the outcome yet"
            }
            Self::Foreign => "the payment provider's object is in a currency that is not used here",
            Self::RateLimited | Self::ObjectBusy => "the payment provider is busy",
            Self::InsufficientPlatformFunds => "the funds are not available at the payment provider yet",
            Self::Declined => "the payment was declined",
            Self::AuthenticationRequired => "the payer must authenticate the payment",
            Self::Refused => "the payment provider refused the request",
            Self::NotFound => "the payment provider does not know the object",
            Self::Misuse => "the request contradicts an earlier one",
            Self::AccountForbidden => "the payment provider does not let us use the payout account",
            Self::KindForbidden => "the payment provider does not allow this to us",
            Self::KeyRefused | Self::Unreachable => "the payment provider cannot be reached",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::Foreign => "foreign",
            Self::InUse => "in_use",
            Self::RateLimited => "rate_limited",
            Self::ObjectBusy => "object_busy",
            Self::InsufficientPlatformFunds => "insufficient_platform_funds",
            Self::Declined => "declined",
            Self::AuthenticationRequired => "authentication_required",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Misuse => "misuse",
            Self::AccountForbidden => "account_forbidden",
            Self::KindForbidden => "kind_forbidden",
            Self::KeyRefused => "key_refused",
            Self::Unreachable => "unreachable",
        })
    }
}

/// A failure as the transport sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<'a> {
    /// The request could not be built from its parameters; it was not sent.
    NotBuilt,
    /// No connection was made; the request was not sent.
    NotSent,
    /// The request may have been sent, and no answer came: a timeout, or a connection that broke.
    NoAnswer,
    /// An answer came and could not be read.
    Unreadable,
    /// Stripe answered with an error.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The error's `type`.
        kind: &'a str,
        /// The error's `code`.
        code: Option<&'a str>,
        /// The error's `decline_code`.
        decline_code: Option<&'a str>,
        /// Whether the request named a connected account: as the account it acts for, in its path, or in a parameter.
        names_account: bool,
    },
}

/// Classifies a failure. Codes take precedence over statuses where Stripe uses one status for different errors.
#[must_use]
pub fn classify(failure: Failure<'_>) -> ErrorClass {
    let Failure::Answer {
        status,
        kind,
        code,
        decline_code,
        names_account,
    } = failure
    else {
        return match failure {
            Failure::NotBuilt => ErrorClass::Misuse,
            Failure::NotSent => ErrorClass::Unreachable,
            Failure::Unreadable => ErrorClass::Unreadable,
            _ => ErrorClass::Unknown,
        };
    };
    // A 424 means that a system behind Stripe failed, possibly after the effect.
    if !(400..500).contains(&status) || matches!(status, 408 | 424) {
        return ErrorClass::Unknown;
    }
    match code {
        Some("lock_timeout") => return ErrorClass::ObjectBusy,
        Some("rate_limit") => return ErrorClass::RateLimited,
        Some("idempotency_key_in_use") => return ErrorClass::InUse,
        Some("balance_insufficient") => return ErrorClass::InsufficientPlatformFunds,
        // A 403 about one account, which does not exist or has disconnected.
        Some("account_invalid") => return ErrorClass::Refused,
        Some("api_key_expired" | "platform_api_key_expired" | "secret_key_required") => {
            return ErrorClass::KeyRefused;
        }
        Some("more_permissions_required_for_application" | "platform_account_required") => {
            return ErrorClass::AccountForbidden;
        }
        Some("authentication_required") => return ErrorClass::AuthenticationRequired,
        _ => {}
    }
    match (status, kind) {
        (401, _) => ErrorClass::KeyRefused,
        // A restricted key that lacks a permission has no code (<https://docs.stripe.com/keys/restricted-api-keys>).
        (403, _) if names_account => ErrorClass::AccountForbidden,
        (403, _) => ErrorClass::KindForbidden,
        (404, _) => ErrorClass::NotFound,
        (409, _) => ErrorClass::InUse,
        (429, _) => ErrorClass::RateLimited,
        (_, "idempotency_error") => ErrorClass::Misuse,
        (402, _) | (_, "card_error") if decline_code == Some("authentication_required") => {
            ErrorClass::AuthenticationRequired
        }
        (402, _) | (_, "card_error") => ErrorClass::Declined,
        _ => ErrorClass::Refused,
    }
}

/// The request that failed, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedRequest {
    /// The operation, such as `create_transfer`.
    pub operation: Option<&'static str>,
    /// Stripe's id of the request, if the answer contains it: it identifies the request in the dashboard.
    pub id: Option<String>,
}

/// The error of a failed call to Stripe.
#[derive(Debug, Clone, thiserror::Error)]
#[error("stripe call failed ({class}{}): {}", status.map(|status| format!(", http {status}")).unwrap_or_default(), told(*class, message))]
pub struct StripeError {
    /// What is known of the effect.
    pub class: ErrorClass,
    /// The HTTP status, if Stripe answered.
    pub status: Option<u16>,
    /// Stripe's error code, or a code of ours if Stripe returned none; for operators and for the row of the call.
    pub code: Option<String>,
    /// The parameter to which Stripe objects, such as `customer`.
    pub param: Option<Box<str>>,
    /// The card issuer's reason for a decline.
    pub decline_code: Option<Box<str>>,
    /// A sentence that may be shown to the user: Stripe's own for card errors, ours for all others.
    pub message: String,
    /// The request, for operators.
    pub request: Box<FailedRequest>,
    /// The intent, which exists although the payment failed.
    pub payment_intent: Option<Box<PaymentIntent>>,
}

/// Returns the text for logs and operators. Only this text mentions our key: users read nothing about it.
const fn told(class: ErrorClass, message: &str) -> &str {
    match class {
        ErrorClass::KeyRefused => "Stripe refuses the key: set STRIPE_SECRET_KEY to one that works",
        _ => message,
    }
}

impl StripeError {
    /// Creates an error for a failure that has no answer to take details from.
    #[must_use]
    pub fn new(class: ErrorClass) -> Self {
        Self {
            class,
            status: None,
            code: None,
            param: None,
            decline_code: None,
            message: class.sentence().to_owned(),
            request: Box::default(),
            payment_intent: None,
        }
    }

    /// Creates an error for a request that we refuse to send, because Stripe would refuse it.
    #[must_use]
    pub fn refused_here(code: &str, message: &str) -> Self {
        Self {
            code: Some(code.to_owned()),
            message: message.to_owned(),
            ..Self::new(ErrorClass::Refused)
        }
    }

    /// Returns whether the object that this parameter names does not exist at Stripe, or no longer does
    /// (<https://docs.stripe.com/error-codes#resource-missing>).
    #[must_use]
    pub fn misses(&self, param: &str) -> bool {
        self.code.as_deref() == Some("resource_missing") && self.param.as_deref() == Some(param)
    }

    /// Returns the same failure with the name of its operation.
    #[must_use]
    pub fn of(mut self, operation: &'static str) -> Self {
        self.request.operation = Some(operation);
        self
    }

    /// Returns what an operator needs to find the request at Stripe, but nothing that the answer contains about keys and parameters:
    /// `create_transfer at Stripe: account_forbidden, http 403, request req_…`.
    #[must_use]
    pub fn for_operators(&self) -> String {
        let operation = self.request.operation.unwrap_or("a request");
        let status = self.status.map(|status| format!(", http {status}"));
        let code = self.code.as_ref().map(|code| format!(", {code}"));
        let id = self.request.id.as_ref().map(|id| format!(", request {id}"));
        let told: String = [status, code, id].into_iter().flatten().collect();
        format!("{operation} at Stripe: {}{told}", self.class)
    }

    /// Returns what to do about it.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        self.class.disposition()
    }
}

#[cfg(test)]
mod tests;
