//! What must hold in the database at every moment, and what must hold once everything has come to rest.
//!
//! Each invariant is one statement, hence one snapshot, that lists what violates it. The numbers are those of the fault campaign.

use std::collections::HashMap;

use uuid::Uuid;
use wallet_core::flows::{Flow, Stage, edges};

use crate::Database;

/// What holds at every moment a reader can look: name, and a statement that lists violations as text.
const ALWAYS: &[(&str, &str)] = &[
    (
        "I6: balance and frozen_balance are the sums of the wallet's entries",
        "SELECT w.id || ' has ' || w.balance || '+' || w.frozen_balance || ', entries say ' || s.available || '+' || s.frozen
           FROM wallets w CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount) FILTER (WHERE account = 'wallet:available'), 0) AS available,
                       coalesce(sum(amount) FILTER (WHERE account = 'wallet:frozen'), 0) AS frozen
                  FROM ledger_entries e WHERE e.wallet_id = w.id) s
          WHERE w.balance <> s.available OR w.frozen_balance <> s.frozen",
    ),
    (
        "I1: all entries of a currency sum to zero",
        "SELECT currency || ' ' || sum(amount) FROM ledger_entries GROUP BY currency HAVING sum(amount) <> 0",
    ),
    (
        "I1: the entries of a transaction sum to zero",
        "SELECT transaction_id || ' ' || sum(amount) FROM ledger_entries GROUP BY transaction_id, currency HAVING sum(amount) <> 0",
    ),
    ("I15: nothing is negative", "SELECT id::text FROM wallets WHERE balance < 0 OR frozen_balance < 0"),
    (
        "I16: what is frozen is what open transactions hold",
        "SELECT w.id || ' has frozen ' || w.frozen_balance || ', held ' || s.held
           FROM wallets w CROSS JOIN LATERAL (
                SELECT coalesce(sum(CASE WHEN flow IN ('outside_refund', 'dispute') THEN held_amount ELSE amount END), 0) AS held
                  FROM wallet_transactions t
                 WHERE t.wallet_id = w.id
                   AND t.stage IN ('held', 'transferred', 'paying_out', 'returning', 'refunding', 'disputed')) s
          WHERE w.frozen_balance <> s.held",
    ),
    (
        // Suspense may be in another currency than the transaction: that of what came instead.
        "I5: no entry without its transaction, in the currency of its wallet",
        "SELECT e.transaction_id || ' ' || e.account FROM ledger_entries e
           LEFT JOIN wallet_transactions t ON t.id = e.transaction_id LEFT JOIN wallets w ON w.id = e.wallet_id
          WHERE t.id IS NULL OR w.currency <> e.currency",
    ),
    (
        // What was caught for a debt left the wallet for the receivables; money that support credited was another amount.
        "each stage has exactly its postings",
        "SELECT t.id || ' ' || t.f || ' ' || t.stage || ' moved ' || s.net
           FROM (SELECT *, coalesce(flow, transaction_type::text) AS f FROM wallet_transactions) t
           CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount) FILTER (WHERE account LIKE 'wallet:%' OR account = 'platform:receivable'), 0) AS net,
                       count(*) FILTER (WHERE account = 'platform:suspense') AS suspended
                  FROM ledger_entries e WHERE e.transaction_id = t.id AND e.currency = t.currency) s
          WHERE t.f <> 'dispute' AND s.suspended = 0
            AND s.net <> CASE t.f || ':' || t.stage
                WHEN 'deposit:completed' THEN t.amount
                WHEN 'withdrawal:completed' THEN -t.amount
                WHEN 'payment:completed' THEN -t.fee
                WHEN 'payment_refund:completed' THEN t.fee
                WHEN 'deposit_refund:completed' THEN -t.amount
                WHEN 'outside_refund:completed' THEN -t.amount
                WHEN 'refund_return:completed' THEN t.amount
                WHEN 'payout_return:returning' THEN t.amount
                WHEN 'payout_return:completed' THEN t.amount
                ELSE 0 END",
    ),
    (
        "what is receivable is what Stripe took for open disputes and what is owed",
        "SELECT r.currency || ': ' || r.receivable || ' receivable, ' || o.owed || ' owed'
           FROM (SELECT currency, sum(amount) AS receivable FROM ledger_entries WHERE account = 'platform:receivable' GROUP BY 1) r
           JOIN (SELECT currency, sum(owed_balance) AS owed FROM wallets GROUP BY 1) o USING (currency)
          WHERE -r.receivable < o.owed
            AND NOT EXISTS (SELECT 1 FROM wallet_transactions t WHERE t.flow IN ('dispute', 'outside_refund')
                             AND t.status IN ('pending', 'processing'))",
    ),
    (
        "I3: whatever is not final is somebody's business: a job's, or Stripe's or a person's by its stage",
        "SELECT t.id || ' ' || t.stage FROM wallet_transactions t
          WHERE t.stage IN ('accepted', 'held', 'transferred', 'returning') AND coalesce(t.flow, '') <> 'dispute'
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.transaction_id = t.id)",
    ),
    (
        "I3: whatever is parked or in review has its alarm",
        "SELECT 'job ' || j.id FROM jobs j WHERE j.parked_at IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.kind = 'job_parked' AND a.subject = j.id::text AND a.closed_at IS NULL)
         UNION ALL SELECT 'event ' || e.id FROM stripe_events e WHERE e.state = 'parked'
            AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.kind = 'event_parked' AND a.subject = e.id)
         UNION ALL SELECT 'transaction ' || t.id FROM wallet_transactions t WHERE t.stage = 'in_review'
            AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.subject = t.id::text AND a.closed_at IS NULL)",
    ),
    (
        "I8: an event that is not processed has its job",
        "SELECT e.id FROM stripe_events e WHERE e.state = 'received'
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.unique_key = 'event:' || e.id)",
    ),
    (
        "I9: every idempotency key leads to what it stood for",
        "SELECT k.key FROM idempotency_keys k
           LEFT JOIN wallet_transactions t ON t.id = k.transaction_id LEFT JOIN wallets w ON w.id = k.wallet_id
          WHERE t.id IS NULL AND w.id IS NULL",
    ),
    (
        "I19: every Stripe object on a transaction leads back to it",
        "SELECT t.id || ' ' || o.id FROM wallet_transactions t
           CROSS JOIN LATERAL (VALUES ('payment_intent', t.stripe_payment_intent_id), ('transfer', t.stripe_transfer_id),
                                      ('payout', t.stripe_payout_id), ('refund', t.stripe_refund_id),
                                      ('dispute', t.stripe_dispute_id)) AS o (kind, id)
           LEFT JOIN external_refs r ON r.kind = o.kind AND r.external_id = o.id
          WHERE o.id IS NOT NULL AND r.transaction_id IS DISTINCT FROM t.id",
    ),
];

/// Checks everything that holds at every moment.
///
/// # Panics
/// When something does not hold: all of it is listed.
pub async fn assert_balanced(db: &Database) {
    let mut violations = Vec::new();
    for (name, sql) in ALWAYS {
        for row in db.rows(sql, &[]).await {
            violations.push(format!("{name}: {}", row.get::<_, String>(0)));
        }
    }
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

/// I7 and I12: every change of a stage was recorded once in the audit trail, along the edges of its flow, from its acceptance to
/// where it stands, and the status is what the stage means.
///
/// # Panics
/// When it was not.
pub async fn assert_legal_history(db: &Database) {
    let mut stages: HashMap<Uuid, (Flow, Stage)> = HashMap::new();
    let accepted = "SELECT unnest(transaction_ids), coalesce(detail->>'flow', detail->>'type') FROM audit_log WHERE action = 'accept'";
    for row in db.rows(accepted, &[]).await {
        let (id, kind): (Uuid, String) = (row.get(0), row.get(1));
        let kind = Flow::from_name(&kind).expect("a flow");
        assert!(
            stages.insert(id, (kind, Stage::Accepted)).is_none(),
            "{id} was accepted twice"
        );
    }
    let steps = "SELECT t.id, s.stages->>0, s.stages->>1
           FROM audit_log a
           CROSS JOIN LATERAL unnest(a.transaction_ids) WITH ORDINALITY AS t (id, n)
           CROSS JOIN LATERAL jsonb_array_elements(a.detail->'stages') WITH ORDINALITY AS s (stages, n)
          WHERE a.action = 'settle' AND s.n = t.n ORDER BY a.id, t.n";
    for row in db.rows(steps, &[]).await {
        let (id, from, to): (Uuid, String, String) = (row.get(0), row.get(1), row.get(2));
        let (from, to) = (
            Stage::from_name(&from).expect("a stage"),
            Stage::from_name(&to).expect("a stage"),
        );
        let (kind, stage) = stages
            .get_mut(&id)
            .unwrap_or_else(|| panic!("{id} was settled but never accepted"));
        assert_eq!(*stage, from, "{id}: the audit trail has a gap");
        let refused_hold = from == Stage::Accepted && to == Stage::Failed;
        let is_edge = edges(*kind).iter().any(|edge| edge.from == from && edge.to == to);
        assert!(
            is_edge || refused_hold,
            "{id}: {from:?} → {to:?} is no edge of {kind:?}"
        );
        *stage = to;
    }
    let rows = db.rows("SELECT id, stage, status::text FROM wallet_transactions WHERE reference IS DISTINCT FROM 'planted'", &[]).await;
    assert_eq!(rows.len(), stages.len(), "transactions and accepted requests");
    for row in rows {
        let (id, stage, status): (Uuid, String, String) = (row.get(0), row.get(1), row.get(2));
        let stage = Stage::from_name(&stage).expect("a stage");
        assert_eq!(stage.status().as_str(), status, "{id}");
        assert_eq!(stages[&id].1, stage, "{id}: the audit trail ends elsewhere");
    }
}
