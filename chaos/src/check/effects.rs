//! I1 and I2: compares what Stripe really did with what our rows say.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::Value;

use crate::world::{OPENING, World};

/// The operations that our requests do at most once per transaction.
const ONCE: [&str; 6] = [
    "payment_intent.create",
    "payment_intent.succeed",
    "transfer.create",
    "payout.create",
    "transfer_reversal.create",
    "refund.create",
];

/// Checks both invariants.
pub(super) async fn check(world: &World) -> Result<()> {
    let effects = world.stripe.effects().await?;
    let mut done: HashMap<(&str, &str), u64> = HashMap::new();
    for effect in &effects {
        let text = |name: &str| effect.get(name).and_then(Value::as_str);
        let (Some(id), Some(operation)) = (text("transaction_id"), text("operation")) else {
            continue;
        };
        // Refunds and reversals that others made came from no request of ours.
        let undoes = matches!(operation, "refund.create" | "transfer_reversal.create");
        if !undoes || text("request_id").is_some() {
            *done.entry((id, operation)).or_default() += 1;
        }
    }
    let count = |id: &str, operation: &str| done.get(&(id, operation)).copied().unwrap_or(0);
    let sql = "SELECT id::text, coalesce(flow, transaction_type::text), stage FROM wallet_transactions";
    let client = world.database.connect().await?;
    let mut twice = Vec::new();
    let mut differ = Vec::new();
    for row in client.query(sql, &[]).await? {
        let (id, kind, stage): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let did = |operation: &str| count(&id, operation);
        for operation in ONCE {
            if did(operation) > 1 {
                twice.push(format!(
                    "{operation} happened {} times for {kind} {id}",
                    did(operation)
                ));
            }
        }
        let fits = match (kind.as_str(), stage.as_str()) {
            ("deposit", "completed") => did("payment_intent.succeed") == 1,
            ("deposit", "failed" | "cancelled" | "awaiting_payment") => did("payment_intent.succeed") == 0,
            ("withdrawal", "completed") => {
                did("transfer.create") == 1
                    && did("payout.create") == 1
                    && did("transfer_reversal.create") == 0
            }
            ("withdrawal", "failed" | "cancelled") => {
                did("transfer.create") == did("transfer_reversal.create")
            }
            // These were requested by a client: a refund that began at Stripe is an outside_refund.
            ("deposit_refund", "completed") => did("refund.create") == 1,
            ("deposit_refund", "failed" | "cancelled") => did("refund.create") == 0 || did("refund.fail") > 0,
            ("transfer" | "payment" | "payment_refund", _) => {
                ONCE.iter().all(|operation| did(operation) == 0)
            }
            _ => true,
        };
        if !fits {
            let what: Vec<String> = ONCE
                .iter()
                .filter(|operation| did(operation) > 0)
                .map(|operation| format!("{operation} {}", did(operation)))
                .collect();
            differ.push(format!(
                "{kind} {id} is {stage} and Stripe did: {}",
                what.join(", ")
            ));
        }
    }
    world.tally.checked("I2 one effect for each transaction", twice);
    world
        .tally
        .checked("I2 completed where and only where Stripe did it", differ);

    let changed: i64 = effects
        .iter()
        .filter(|effect| effect.get("currency").and_then(Value::as_str) == Some("usd"))
        .filter_map(|effect| effect.get("platform_change").and_then(Value::as_i64))
        .sum();
    let booked = "SELECT coalesce(-100 * sum(amount), 0)::bigint FROM ledger_entries WHERE account = 'stripe:clearing' AND currency = 'usd'";
    let booked = world.database.number(booked).await?;
    let owned = changed - OPENING;
    world.tally.checked(
        "I1 stripe:clearing is the balance at Stripe",
        (booked != owned).then(|| format!("booked {booked} cents, at Stripe {owned}")),
    );
    Ok(())
}
