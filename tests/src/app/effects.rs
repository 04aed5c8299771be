//! Compares what Stripe did with what our rows say.

use wallet_core::money::Currency;

use super::TestApp;

impl TestApp {
    /// I1 and I2: Stripe did for each transaction exactly what its row says, and the platform's accounts are Stripe's balances.
    ///
    /// # Panics
    /// If it did not.
    pub async fn assert_effects(&self) {
        let effects = self.stripe.effects("*").await;
        let count = |id: &str, operation: &str| {
            effects
                .iter()
                .filter(|it| it["transaction_id"] == id && it["operation"] == operation)
                // Refunds and reversals that others made came by no request of ours.
                .filter(|it| {
                    !matches!(operation, "refund.create" | "transfer_reversal.create")
                        || it["request_id"].is_string()
                })
                .count()
        };
        // Whoever asked for it.
        let moved = |ids: [&str; 2], operation: &str| -> i64 {
            effects
                .iter()
                .filter(|it| ids.iter().any(|id| it["transaction_id"] == *id) && it["operation"] == operation)
                .filter_map(|it| it["amount"].as_i64())
                .sum()
        };
        let rows = "SELECT id::text, coalesce(flow, transaction_type::text), stage, coalesce(related_transaction_id, id)::text, (SELECT count(*) FROM external_refs r WHERE r.transaction_id = t.id AND r.kind = 'late_payment'), (SELECT count(*) FROM external_refs r WHERE r.transaction_id = t.id AND r.kind = 'return'), (SELECT count(*) FROM audit_log a WHERE a.action = 'withdrawal_paid' AND t.id = ANY(a.transaction_ids) AND t.stripe_payout_id IS NULL) FROM wallet_transactions t WHERE reference IS DISTINCT FROM 'planted'";
        for row in self.db.rows(rows, &[]).await {
            let (id, kind, stage): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            let original: String = row.get(3);
            // Paid, but not as it was asked for or not in time: it went to suspense.
            let suspended = usize::try_from(row.get::<_, i64>(4)).unwrap();
            // Of a refund that did not reach the payer another one may be made.
            let failed = usize::try_from(row.get::<_, i64>(5)).unwrap();
            // An operator has found that the bank has the money, by a payout that is not ours.
            let paid_by_others = usize::try_from(row.get::<_, i64>(6)).unwrap();
            let all_taken_back = || {
                let ids = [id.as_str(), original.as_str()];
                assert_eq!(
                    moved(ids, "transfer.create"),
                    moved(ids, "transfer_reversal.create"),
                    "{kind} {id} at {stage}"
                );
            };
            let done = |operation| count(&id, operation);
            let told = format!("{kind} {id} at {stage}");
            match (kind.as_str(), stage.as_str()) {
                ("deposit", "completed") => assert_eq!(done("payment_intent.succeed"), 1, "{told}"),
                ("deposit", "failed" | "cancelled" | "awaiting_payment") => {
                    assert_eq!(done("payment_intent.succeed"), suspended, "{told}");
                }
                ("withdrawal", "completed") => {
                    assert_eq!(
                        (
                            done("transfer.create"),
                            done("payout.create"),
                            done("transfer_reversal.create")
                        ),
                        (1, 1 - paid_by_others, 0),
                        "{told}"
                    );
                }
                ("withdrawal", "failed") | ("payout_return", "completed") => all_taken_back(),
                ("deposit_refund", "completed") => assert_eq!(done("refund.create"), 1, "{told}"),
                _ => {}
            }
            for operation in [
                "payment_intent.create",
                "payment_intent.succeed",
                "transfer.create",
                "payout.create",
                "transfer_reversal.create",
                "refund.create",
            ] {
                let most = if operation == "refund.create" {
                    1 + failed
                } else {
                    1
                };
                assert!(
                    done(operation) <= most,
                    "{operation} happened {} times for {told}",
                    done(operation)
                );
            }
        }
        let under_way = self
            .db
            .count("wallet_transactions WHERE stage IN ('accepted', 'held', 'awaiting_payment', 'returning', 'refunding')")
            .await;
        if under_way > 0 {
            return;
        }
        let put_in = self.put_in.lock().unwrap().clone();
        for currency in Currency::all() {
            let (code, minor_units) = (currency.code(), 10_i64.pow(currency.exponent()));
            let changed: i64 = effects
                .iter()
                .filter(|it| it["currency"] == code)
                .filter_map(|it| it["platform_change"].as_i64())
                .sum();
            let booked = "SELECT coalesce(-$2::bigint * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'stripe:clearing' AND currency = $1";
            let booked: i64 = self.db.value(booked, &[&code, &minor_units]).await;
            assert_eq!(
                booked,
                changed - put_in.get(code).copied().unwrap_or_default(),
                "stripe:clearing and the platform's balance at Stripe in {code}"
            );
        }
    }
}
