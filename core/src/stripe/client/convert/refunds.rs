//! Converts refunds and disputes.

use stripe_types::{Expandable, Object};

use super::{Unfit, balance_transaction, id, metadata, money, time, word};
use crate::stripe::types::{Dispute, Refund};

pub(in crate::stripe::client) fn refund(refund: stripe_shared::Refund) -> Result<Refund, Unfit> {
    Ok(Refund {
        id: id(refund.id.as_str())?,
        status: word(refund.status.as_deref().unwrap_or_default())?,
        amount: money(refund.amount, &refund.currency)?,
        payment_intent: named(refund.payment_intent),
        charge: named(refund.charge),
        balance_transaction: named(refund.balance_transaction),
        failure_balance_transaction: named(refund.failure_balance_transaction),
        failure_reason: refund.failure_reason,
        pending_reason: refund.pending_reason.map(|reason| reason.as_str().to_owned()),
        metadata: metadata(refund.metadata.as_ref()),
        created: time(refund.created)?,
    })
}

pub(in crate::stripe::client) fn dispute(dispute: stripe_shared::Dispute) -> Result<Dispute, Unfit> {
    let amount = money(dispute.amount, &dispute.currency)?;
    Ok(Dispute {
        id: id(dispute.id.as_str())?,
        status: word(dispute.status.as_str())?,
        amount,
        payment_intent: named(dispute.payment_intent),
        charge: id(dispute.charge.id().as_str())?,
        reason: dispute.reason,
        // All or none, since their sum shows which money is gone. The dispute is ours, so a movement that cannot be converted is not foreign.
        balance_transactions: dispute
            .balance_transactions
            .into_iter()
            .map(|row| balance_transaction(row).map_err(|_| Unfit::Malformed))
            .collect::<Result<_, _>>()?,
        created: time(dispute.created)?,
    })
}

/// Returns the id of an object, whether the answer has only its id or the whole object.
fn named<S, T>(object: Option<Expandable<S>>) -> Option<T>
where
    S: Object,
    S::Id: AsRef<str>,
    T: std::str::FromStr,
{
    object.and_then(|object| object.id().as_ref().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::money::{Currency, Money};
    use crate::stripe::status::{DisputeStatus, RefundStatus};

    fn with(mut base: Value, fields: Value) -> Value {
        if let (Value::Object(base), Value::Object(fields)) = (&mut base, fields) {
            base.extend(fields);
        }
        base
    }

    fn read_refund(fields: Value) -> Result<Refund, Unfit> {
        let base = json!({ "id": "re_1", "amount": 500, "currency": "usd", "created": 1_700_000_000 });
        refund(serde_json::from_value(with(base, fields)).unwrap())
    }

    fn row(id: &str, amount: i64, fee: i64) -> Value {
        json!({
            "id": id, "amount": amount, "fee": fee, "net": amount - fee, "currency": "usd", "type": "adjustment",
            "available_on": 1_700_000_000, "created": 1_700_000_000, "fee_details": [], "status": "available",
            "reporting_category": "dispute", "source": "du_1", "balance_type": "payments",
        })
    }

    fn read_dispute(fields: Value) -> Result<Dispute, Unfit> {
        let base = json!({
            "id": "du_1", "amount": 1000, "currency": "usd", "created": 1_700_000_000, "charge": "ch_1",
            "payment_intent": "pi_1", "reason": "fraudulent", "status": "lost", "balance_transactions": [],
            "enhanced_eligibility_types": [], "evidence": { "enhanced_evidence": {} }, "is_charge_refundable": false,
            "evidence_details": {
                "enhanced_eligibility": {}, "has_evidence": false, "past_due": false, "submission_count": 0,
            },
            "livemode": false, "metadata": {},
        });
        dispute(serde_json::from_value(with(base, fields)).unwrap())
    }

    #[test]
    fn a_refund_is_in_the_minor_units_of_its_currency() {
        for (code, shown) in [("usd", "5.00"), ("jpy", "500")] {
            let refund = read_refund(json!({ "currency": code })).unwrap();
            assert_eq!(refund.amount.amount().to_string(), shown, "{code}");
        }
        assert_eq!(
            read_refund(json!({ "currency": "kwd" })).unwrap_err(),
            Unfit::Foreign
        );
    }

    #[test]
    fn what_a_refund_lacks_is_none_and_what_it_names_is_read() {
        let bare = read_refund(json!({})).unwrap();
        assert_eq!(bare.status, RefundStatus::Unknown(String::new()));
        assert!(bare.payment_intent.is_none() && bare.charge.is_none());
        assert!(bare.balance_transaction.is_none() && bare.pending_reason.is_none());
        let failed = read_refund(json!({
            "id": "pyr_1", "status": "failed", "payment_intent": "pi_1", "charge": "py_1", "balance_transaction": "txn_1",
            "failure_balance_transaction": "txn_2", "failure_reason": "lost_or_stolen_card", "pending_reason": "of_tomorrow",
            "metadata": { "transaction_id": "018f2f5e-7b3c-7000-8000-000000000001" },
        }))
        .unwrap();
        assert_eq!(failed.status, RefundStatus::Failed);
        assert_eq!(failed.payment_intent.unwrap().as_str(), "pi_1");
        assert_eq!(failed.charge.unwrap().as_str(), "py_1");
        assert_eq!(failed.balance_transaction.unwrap().as_str(), "txn_1");
        assert_eq!(failed.failure_balance_transaction.unwrap().as_str(), "txn_2");
        assert_eq!(failed.failure_reason.as_deref(), Some("lost_or_stolen_card"));
        assert_eq!(failed.pending_reason.as_deref(), Some("of_tomorrow"));
        assert!(failed.metadata.transaction_id.is_some() && failed.metadata.wallet_id.is_none());
    }

    #[test]
    fn an_object_that_came_whole_is_known_by_its_id() {
        let refund = read_refund(json!({ "balance_transaction": row("txn_7", -500, 0) })).unwrap();
        assert_eq!(refund.balance_transaction.unwrap().as_str(), "txn_7");
    }

    #[test]
    fn a_dispute_brings_every_movement_with_its_sign() {
        let rows = json!([row("txn_1", -1000, 1500), row("txn_2", 1000, 0)]);
        let dispute = read_dispute(json!({ "status": "won", "balance_transactions": rows })).unwrap();
        assert_eq!(dispute.status, DisputeStatus::Won);
        assert_eq!(dispute.payment_intent.unwrap().as_str(), "pi_1");
        let net: Vec<Money> = dispute.balance_transactions.iter().map(|row| row.net).collect();
        let cents = |minor| Money::from_minor(minor, Currency::USD).unwrap();
        assert_eq!(net, [cents(-2500), cents(1000)]);
    }

    #[test]
    fn a_dispute_with_a_movement_that_cannot_be_read_is_not_taken_for_one_without() {
        let foreign = with(row("txn_1", -1000, 0), json!({ "currency": "kwd" }));
        let read = read_dispute(json!({ "balance_transactions": [foreign] }));
        assert_eq!(read.unwrap_err(), Unfit::Malformed);
    }

    #[test]
    fn a_status_of_tomorrow_is_kept() {
        let dispute = read_dispute(json!({ "status": "arbitration" })).unwrap();
        assert_eq!(dispute.status, DisputeStatus::Unknown("arbitration".to_owned()));
    }
}
