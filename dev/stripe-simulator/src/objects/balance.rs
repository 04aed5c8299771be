//! Balances and the balance transactions that explain every change of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Around, Group, GroupBy, Id, Owner, Resource, fixture, group, shape};
use crate::clock::Moment;
use crate::money::Currency;

fixture!(EXAMPLE, "balance_transaction");

/// An account's balance in one currency, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Funds {
    /// The part that can be transferred and paid out.
    pub(crate) available: i64,
    /// The part that becomes available later.
    pub(crate) pending: i64,
    /// The part reserved for connected accounts with a negative balance.
    #[serde(default)]
    pub(crate) reserved: i64,
}

/// The reason of a change of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TransactionKind {
    Charge,
    Payment,
    PaymentFailureRefund,
    Refund,
    PaymentRefund,
    RefundFailure,
    Transfer,
    TransferRefund,
    Payout,
    PayoutCancel,
    PayoutFailure,
    Dispute,
    DisputeReversal,
    Topup,
    ReserveHold,
    ReserveRelease,
}

/// The balance of an account that a movement changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BalanceType {
    #[default]
    Payments,
    /// Money that Stripe holds back as a security; only preview versions of the API show its sum.
    RiskReserved,
}

impl TransactionKind {
    /// Returns Stripe's `type`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Payment => "payment",
            Self::PaymentFailureRefund => "payment_failure_refund",
            Self::Refund => "refund",
            Self::PaymentRefund => "payment_refund",
            Self::RefundFailure => "refund_failure",
            Self::Transfer => "transfer",
            Self::TransferRefund => "transfer_refund",
            Self::Payout => "payout",
            Self::PayoutCancel => "payout_cancel",
            Self::PayoutFailure => "payout_failure",
            Self::Dispute | Self::DisputeReversal => "adjustment",
            Self::Topup => "topup",
            Self::ReserveHold => "reserve_hold",
            Self::ReserveRelease => "reserve_release",
        }
    }

    /// Returns Stripe's description of the fee that is taken with it.
    const fn fee_description(self) -> &'static str {
        match self {
            Self::Dispute | Self::DisputeReversal => "Dispute fee",
            _ => "Stripe processing fees",
        }
    }

    /// Returns Stripe's `reporting_category`.
    const fn category(self) -> &'static str {
        match self {
            Self::Charge | Self::Payment => "charge",
            Self::Refund | Self::PaymentRefund => "refund",
            Self::PaymentFailureRefund => "charge_failure",
            Self::RefundFailure => "refund_failure",
            Self::Transfer => "transfer",
            Self::TransferRefund => "transfer_reversal",
            Self::Payout => "payout",
            Self::PayoutCancel | Self::PayoutFailure => "payout_reversal",
            Self::Dispute => "dispute",
            Self::DisputeReversal => "dispute_reversal",
            Self::Topup => "topup",
            Self::ReserveHold | Self::ReserveRelease => "risk_reserved_funds",
        }
    }
}

/// One change of a balance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BalanceTransaction {
    pub(crate) id: Id<BalanceTransaction>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) kind: TransactionKind,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: Currency,
    pub(crate) available_on: Moment,
    pub(crate) available: bool,
    pub(crate) source: Option<String>,
    pub(crate) description: Option<String>,
    /// The rate at which it was converted to this currency, in ten-thousandths, or `None` if it was not converted.
    #[serde(default)]
    pub(crate) exchange_rate: Option<i32>,
    #[serde(default)]
    pub(crate) balance_type: BalanceType,
}

impl BalanceTransaction {
    /// Returns the change of the balance.
    pub(crate) const fn net(&self) -> i64 {
        self.amount - self.fee
    }
}

/// Returns a rate in Stripe's notation.
#[expect(clippy::float_arithmetic, reason = "a rate, no money")]
fn rate(ten_thousandths: i32) -> f64 {
    f64::from(ten_thousandths) / 10_000.0
}

impl Resource for BalanceTransaction {
    const PREFIX: &'static str = "txn_";
    const NOUN: &'static str = "balance transaction";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn groups(&self) -> Vec<Group> {
        self.source
            .iter()
            .map(|source| group(GroupBy::Source, source))
            .collect()
    }

    fn render(&self, _around: &dyn Around) -> Value {
        let details = if self.fee == 0 {
            json!([])
        } else {
            json!([{
                "amount": self.fee, "application": null, "currency": self.currency,
                "description": self.kind.fee_description(), "type": "stripe_fee",
            }])
        };
        shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "amount": self.amount,
                "available_on": self.available_on.seconds(),
                "balance_type": self.balance_type,
                "currency": self.currency,
                "description": self.description,
                "exchange_rate": self.exchange_rate.map(rate),
                "fee": self.fee,
                "fee_details": details,
                "net": self.net(),
                "reporting_category": self.kind.category(),
                "source": self.source,
                "status": if self.available { "available" } else { "pending" },
                "type": self.kind.name(),
            }),
        )
    }
}
