//! Every way a call to Stripe can fail, sorted once into what is known of its effect and what to do next.
//!
//! The table test below holds one row for each line of Stripe's error list (<https://docs.stripe.com/error-codes>,
//! <https://docs.stripe.com/error-low-level>) that asks for a decision of its own.

mod scope;

use std::fmt;

pub use scope::Scope;

use super::types::PaymentIntent;
use crate::retry::RetryPolicy;

/// [`StripeError::code`] of an answer that could not be read.
pub(super) const UNREADABLE_ANSWER: &str = "unreadable_answer";

/// What a failed call tells of its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// No trustworthy answer: it may have happened. Timeouts, connections lost after sending, 5xx, 424.
    Unknown,
    /// An answer came and could not be read: it may have happened. Stripe works, and this object is one that we do not understand.
    Unreadable,
    /// An object in a currency that nobody here uses: made by somebody else with whom we share the account at Stripe.
    Foreign,
    /// The first request with this key is still running.
    InUse,
    /// Too many requests; nothing happened.
    RateLimited,
    /// Stripe holds a lock on the object; nothing happened.
    ObjectBusy,
    /// The balance that should pay does not suffice yet; nothing happened.
    InsufficientPlatformFunds,
    /// The payer's bank or Stripe refused the payment.
    Declined,
    /// The payer must authenticate before the payment can go on.
    AuthenticationRequired,
    /// Stripe refuses this request and always will; nothing happened.
    Refused,
    /// The object asked about does not exist.
    NotFound,
    /// The key was used before with other parameters: a fault of ours.
    Misuse,
    /// Stripe does not let us act for this connected account (any more); nothing happened.
    AccountForbidden,
    /// Our key may not do this with this kind of object; nothing happened.
    KindForbidden,
    /// The API key is not accepted; nothing happened, and nobody's call will succeed.
    KeyRefused,
    /// No connection was made; nothing happened.
    Unreachable,
}

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Call again with the same key and parameters.
    RetrySameKey {
        /// Whether the try counts towards the job's budget; handing it back does not.
        counts: bool,
    },
    /// It did not happen and will not: end the transaction as failed and release what is held.
    FailDefinite,
    /// It did not happen: the payer has to act, the transaction waits.
    AwaitPayer,
    /// It did not happen: try later with a new attempt number, and tell the user.
    WaitForFunds,
    /// It did not happen: stop every lane and fail nobody.
    PauseAll,
    /// It did not happen, and only a person can change that: try a few times, in case one is doing so, then call one.
    RetryThenReview,
    /// Something is wrong with us: keep the funds held and call a person.
    NeedsReview,
}

impl ErrorClass {
    /// What to do about it.
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

    /// How long to wait before the next try.
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

    /// Whether Stripe is sure to have left everything as it was and to have stored nothing under the key.
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

    /// Whether it ends the attempt: a later call needs a new key.
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

    /// Whether it tells that Stripe, not this call, is at fault.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        matches!(self.scope(), Scope::Lane | Scope::Key)
    }

    /// Whether it passes when Stripe works again, or has come to its end with an earlier request: nothing else is waited for.
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

    /// A sentence that a user may read.
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

/// What the transport saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<'a> {
    /// The request could not be built from what we gave; it never left.
    NotBuilt,
    /// No connection was made; the request never left.
    NotSent,
    /// It may have been sent, and no answer came: a timeout, or a connection that broke.
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
        /// Whether the request named a connected account: as the one it acts for, or in its path.
        names_account: bool,
    },
}

/// Sorts a failure. Codes go before statuses where Stripe uses one status for different things.
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
    // A 424 says that something behind Stripe failed, which may have been after the effect.
    if !(400..500).contains(&status) || matches!(status, 408 | 424) {
        return ErrorClass::Unknown;
    }
    match code {
        Some("lock_timeout") => return ErrorClass::ObjectBusy,
        Some("rate_limit") => return ErrorClass::RateLimited,
        Some("idempotency_key_in_use") => return ErrorClass::InUse,
        Some("balance_insufficient") => return ErrorClass::InsufficientPlatformFunds,
        // A 403 about one account that does not exist or has disconnected.
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

/// Which request failed, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedRequest {
    /// What was asked, such as `create_transfer`.
    pub operation: Option<&'static str>,
    /// Stripe's id of it, when the answer tells it: the dashboard finds it by that.
    pub id: Option<String>,
}

/// A call to Stripe that brought no object.
#[derive(Debug, Clone, thiserror::Error)]
#[error("stripe call failed ({class}{}): {}", status.map(|status| format!(", http {status}")).unwrap_or_default(), told(*class, message))]
pub struct StripeError {
    /// What is known of the effect.
    pub class: ErrorClass,
    /// The HTTP status, when Stripe answered.
    pub status: Option<u16>,
    /// Stripe's error code, or a word of ours where no answer came; for operators and for the row of the call.
    pub code: Option<String>,
    /// The parameter that Stripe objects to, such as `customer`.
    pub param: Option<Box<str>>,
    /// The issuer's reason for a decline.
    pub decline_code: Option<Box<str>>,
    /// A sentence that may be shown to the user: Stripe's own for card errors, ours for everything else.
    pub message: String,
    /// Which request it was, for operators.
    pub request: Box<FailedRequest>,
    /// The intent that exists although the payment failed.
    pub payment_intent: Option<Box<PaymentIntent>>,
}

/// What a log or an operator reads of a failure. People are not told of our key; whoever can change it is.
const fn told(class: ErrorClass, message: &str) -> &str {
    match class {
        ErrorClass::KeyRefused => "Stripe refuses the key: set STRIPE_SECRET_KEY to one that works",
        _ => message,
    }
}

impl StripeError {
    /// A failure without an answer to take more from.
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

    /// A request that was refused here, because Stripe would refuse it.
    #[must_use]
    pub fn refused_here(code: &str, message: &str) -> Self {
        Self {
            code: Some(code.to_owned()),
            message: message.to_owned(),
            ..Self::new(ErrorClass::Refused)
        }
    }

    /// Whether Stripe does not know the object that this parameter names, or not any more
    /// (<https://docs.stripe.com/error-codes#resource-missing>).
    #[must_use]
    pub fn misses(&self, param: &str) -> bool {
        self.code.as_deref() == Some("resource_missing") && self.param.as_deref() == Some(param)
    }

    /// The same failure, of this operation.
    #[must_use]
    pub fn of(mut self, operation: &'static str) -> Self {
        self.request.operation = Some(operation);
        self
    }

    /// What an operator needs to find the request at Stripe, and never what the answer says about keys and parameters:
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

    /// What to do about it.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        self.class.disposition()
    }
}

#[cfg(test)]
mod tests;
