//! Every request is counted by its operation and by what is known of it, and timed.

use std::time::Instant;

use crate::stripe::errors::StripeError;

/// Requests to Stripe.
const STRIPE_CALLS: &str = "wallet_stripe_calls_total";
/// The time that Stripe took.
const STRIPE_SECONDS: &str = "wallet_stripe_call_duration_seconds";
pub(super) const STRIPE_ASKED_AGAIN: &str = "wallet_stripe_asked_again_total";

/// Says what each name means.
pub fn describe_metrics() {
    metrics::describe_counter!(
        STRIPE_CALLS,
        "Requests to Stripe by operation and by what is known of them"
    );
    metrics::describe_histogram!(
        STRIPE_SECONDS,
        metrics::Unit::Seconds,
        "Time that Stripe took, by operation"
    );
    metrics::describe_counter!(
        STRIPE_ASKED_AGAIN,
        "Requests to Stripe that were sent a second time because there was no answer yet"
    );
}

/// The answer, with the name of the operation in an error.
pub(super) async fn measure<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StripeError>>,
) -> Result<T, StripeError> {
    let started = Instant::now();
    let answer = call.await.map_err(|error| error.of(operation));
    let class = answer
        .as_ref()
        .err()
        .map_or_else(|| "ok".to_owned(), |error| error.class.to_string());
    metrics::counter!(STRIPE_CALLS, "operation" => operation, "class" => class).increment(1);
    metrics::histogram!(STRIPE_SECONDS, "operation" => operation).record(started.elapsed());
    answer
}
