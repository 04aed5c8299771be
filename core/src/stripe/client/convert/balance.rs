//! Converts balances, their movements, and charges.

use stripe_shared::BalanceTransactionBalanceType;
use stripe_types::Expandable;

use super::{Unfit, id, money, ours, time};
use crate::stripe::errors::StripeError;
use crate::stripe::types::{Balance, BalanceTransaction, Charge};

pub(in crate::stripe::client) fn balance_transaction(
    row: stripe_shared::BalanceTransaction,
) -> Result<BalanceTransaction, Unfit> {
    // What Stripe keeps beside the balance (a reserve, money of issued cards) has separate movements.
    if !matches!(row.balance_type, BalanceTransactionBalanceType::Payments) {
        return Err(Unfit::Foreign);
    }
    Ok(BalanceTransaction {
        id: id(row.id.as_str())?,
        amount: money(row.amount, &row.currency)?,
        fee: money(row.fee, &row.currency)?,
        net: money(row.net, &row.currency)?,
        kind: row.type_.as_str().to_owned(),
        source: row.source.map(|source| source.id().to_string()),
        available_on: time(row.available_on)?,
        created: time(row.created)?,
    })
}

pub(in crate::stripe::client) fn charge(charge: stripe_shared::Charge) -> Result<Charge, Unfit> {
    let amount = money(charge.amount, &charge.currency)?;
    let balance_transaction = match charge.balance_transaction {
        None => None,
        // A movement that cannot be read must not be taken for one that has not happened.
        Some(Expandable::Object(row)) => Some(balance_transaction(*row).map_err(|_| Unfit::Malformed)?),
        Some(Expandable::Id(_)) => return Err(Unfit::Malformed),
    };
    Ok(Charge {
        id: id(charge.id.as_str())?,
        payment_intent: charge
            .payment_intent
            .and_then(|intent| intent.id().as_str().parse().ok()),
        amount,
        balance_transaction,
        created: time(charge.created)?,
    })
}

/// Converts a balance, leaving out currencies that we never use.
pub(in crate::stripe::client) fn balance(balance: stripe_core::Balance) -> Result<Balance, StripeError> {
    let amount = |held: stripe_core::BalanceAmount| money(held.amount, &held.currency);
    Ok(Balance {
        available: ours(balance.available, amount)?,
        pending: ours(balance.pending, amount)?,
        reserved: ours(balance.connect_reserved.unwrap_or_default(), amount)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(currency: &str, kind: &str, source: &Value) -> Value {
        json!({
            "id": "txn_1", "amount": -1000, "fee": -30, "net": -970, "currency": currency, "type": kind,
            "available_on": 1_700_000_060, "created": 1_700_000_000, "fee_details": [], "status": "pending",
            "reporting_category": "refund", "source": source, "balance_type": "payments",
        })
    }

    fn read_row(row: Value) -> Result<BalanceTransaction, Unfit> {
        balance_transaction(serde_json::from_value(row).unwrap())
    }

    fn charge_json(balance_transaction: &Value) -> Value {
        json!({
            "id": "ch_1", "amount": 1000, "amount_captured": 1000, "amount_refunded": 0, "currency": "usd",
            "billing_details": {}, "captured": true, "created": 1_700_000_000, "disputed": false, "livemode": false,
            "metadata": {}, "paid": true, "refunded": false, "status": "succeeded", "payment_intent": "pi_1",
            "balance_transaction": balance_transaction,
        })
    }

    fn read_charge(balance_transaction: &Value) -> Result<Charge, Unfit> {
        charge(serde_json::from_value(charge_json(balance_transaction)).unwrap())
    }

    #[test]
    fn a_movement_keeps_its_signs_and_the_minor_units_of_its_currency() {
        for (code, amount, fee, net) in [
            ("usd", "-10.00", "-0.30", "-9.70"),
            ("jpy", "-1000", "-30", "-970"),
        ] {
            let read = read_row(row(code, "refund", &json!("re_1"))).unwrap();
            let shown = [read.amount, read.fee, read.net].map(|money| money.amount().to_string());
            assert_eq!(shown, [amount, fee, net], "{code}");
            assert_eq!((read.available_on - read.created).num_seconds(), 60);
        }
    }

    #[test]
    fn a_movement_of_tomorrow_keeps_its_word_and_any_source() {
        let read = read_row(row("usd", "gift_to_stripe", &json!("gift_1"))).unwrap();
        assert_eq!(
            (read.kind.as_str(), read.source.as_deref()),
            ("gift_to_stripe", Some("gift_1"))
        );
        assert_eq!(
            read_row(row("usd", "stripe_fee", &Value::Null)).unwrap().source,
            None
        );
    }

    /// <https://docs.stripe.com/changelog/clover/2026-01-28/monitor-reserve-activity-on-balance-transactions>
    #[test]
    fn a_movement_of_what_stripe_keeps_beside_the_balance_is_none_of_the_balance() {
        for beside in ["risk_reserved", "issuing", "refund_and_dispute_prefunding"] {
            let mut moved = row("usd", "reserve_hold", &Value::Null);
            moved["balance_type"] = json!(beside);
            assert_eq!(read_row(moved).unwrap_err(), Unfit::Foreign, "{beside}");
        }
    }

    #[test]
    fn a_source_that_came_whole_is_known_by_its_id() {
        let mut whole = charge_json(&Value::Null);
        whole["object"] = json!("charge");
        let read = read_row(row("usd", "charge", &whole)).unwrap();
        assert_eq!(read.source.as_deref(), Some("ch_1"));
    }

    #[test]
    fn a_charge_brings_its_movement_and_never_half_of_it() {
        let read = read_charge(&row("usd", "charge", &json!("ch_1"))).unwrap();
        assert_eq!(read.payment_intent.unwrap().as_str(), "pi_1");
        assert_eq!(read.balance_transaction.unwrap().id.as_str(), "txn_1");
        assert!(read_charge(&Value::Null).unwrap().balance_transaction.is_none());
        // Only its id, or in a currency that we cannot hold: this is not the same as no movement.
        for unread in [json!("txn_1"), row("kwd", "charge", &json!("ch_1"))] {
            assert_eq!(read_charge(&unread).unwrap_err(), Unfit::Malformed, "{unread}");
        }
    }

    #[test]
    fn a_balance_may_be_negative_and_leaves_foreign_currencies_out() {
        let held = json!([
            { "amount": -250, "currency": "usd" }, { "amount": 7, "currency": "jpy" }, { "amount": 9, "currency": "kwd" },
        ]);
        let read = balance(
            serde_json::from_value(json!({ "available": held, "pending": [], "livemode": false })).unwrap(),
        )
        .unwrap();
        let shown: Vec<String> = read
            .available
            .iter()
            .map(|money| money.amount().to_string())
            .collect();
        assert_eq!(shown, ["-2.50", "7"]);
        assert!(read.pending.is_empty());
    }
}
