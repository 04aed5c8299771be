//! Counts every request by its operation and by what is known of its effect, and measures its duration.

use std::time::Instant;

use crate::stripe::errors::StripeError;

/// The counter of requests to Stripe.
const STRIPE_CALLS: &str = "wallet_stripe_calls_total";
/// The time that Stripe took to answer.
const STRIPE_SECONDS: &str = "wallet_stripe_call_duration_seconds";
pub(super) const STRIPE_ASKED_AGAIN: &str = "wallet_stripe_asked_again_total";

/// Registers the descriptions of the metrics.
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

/// Returns the answer; an error gets the name of the operation.
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
