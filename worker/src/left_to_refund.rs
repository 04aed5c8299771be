//! How much of a payment can still go back to its payer.

use wallet_core::money::{Money, MoneyError};
use wallet_core::stripe::{Dispute, DisputeStatus, PaymentIntent, Refund, RefundStatus};

/// What of a payment is neither refunded, nor being refunded, nor taken by the payer's bank for good, in the payment's currency; none when
/// nothing is.
///
/// # Errors
/// When the amounts are of several currencies: then nobody here knows.
pub(crate) fn left_to_refund(
    paid: &PaymentIntent,
    refunds: &[Refund],
    disputes: &[Dispute],
) -> Result<Option<Money>, MoneyError> {
    let refunded = refunds
        .iter()
        .filter(|refund| !matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled))
        .map(|refund| refund.amount);
    let taken = disputes
        .iter()
        .filter(|dispute| dispute.status == DisputeStatus::Lost)
        .map(|dispute| dispute.amount);
    let left = refunded
        .chain(taken)
        .try_fold(paid.amount_received, Money::checked_sub)?;
    Ok(Some(left).filter(|left| left.is_positive()))
}
