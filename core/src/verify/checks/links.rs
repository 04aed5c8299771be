//! Links from one row to another: the foreign keys that no constraint declares, Stripe's objects, sealed values.

use super::{Check, Quick};

/// The query for every sealed value: its column and row, and the value.
macro_rules! sealed {
    () => {
        "SELECT 'wallets.encrypted_bank_details of ' || id AS place, encrypted_bank_details AS value
           FROM wallets WHERE encrypted_bank_details IS NOT NULL
         UNION ALL
         SELECT 'wallet_transactions.' || o.name || ' of ' || t.id, o.value FROM wallet_transactions t
           CROSS JOIN LATERAL (VALUES ('encrypted_client_secret', encrypted_client_secret),
               ('encrypted_sender_details', encrypted_sender_details), ('encrypted_receiver_details', encrypted_receiver_details),
               ('encrypted_bank_id', encrypted_bank_id), ('encrypted_account_name', encrypted_account_name)) AS o (name, value)
          WHERE num_nonnulls(encrypted_client_secret, encrypted_sender_details, encrypted_receiver_details, encrypted_bank_id,
                             encrypted_account_name) > 0 AND o.value IS NOT NULL
         UNION ALL
         SELECT 'stripe_calls.encrypted_params of ' || idempotency_key, encrypted_params
           FROM stripe_calls WHERE encrypted_params IS NOT NULL
         UNION ALL
         SELECT 'stripe_events.encrypted_body of ' || id, encrypted_body FROM stripe_events WHERE encrypted_body IS NOT NULL"
    };
}

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "I9 keys",
        means: "every idempotency key leads to what it stood for",
        money: false,
        complete: "SELECT 'key of ' || k.user_id || ' of ' || k.created_at FROM idempotency_keys k
                     LEFT JOIN wallet_transactions t ON t.id = k.transaction_id LEFT JOIN wallets w ON w.id = k.wallet_id
                    WHERE t.id IS NULL AND w.id IS NULL",
        quick: Quick::Never,
    },
    Check {
        name: "I19 objects",
        means: "every Stripe object on a transaction leads back to it, and so to no other",
        money: true,
        complete: "SELECT t.id || ' ' || o.id FROM {transactions} t
                     CROSS JOIN LATERAL (VALUES ('payment_intent', t.stripe_payment_intent_id), ('transfer', t.stripe_transfer_id),
                                                ('payout', t.stripe_payout_id), ('refund', t.stripe_refund_id),
                                                ('dispute', t.stripe_dispute_id)) AS o (kind, id)
                     LEFT JOIN external_refs r ON r.kind = o.kind AND r.external_id = o.id
                    WHERE num_nonnulls(t.stripe_payment_intent_id, t.stripe_transfer_id, t.stripe_payout_id, t.stripe_refund_id,
                                       t.stripe_dispute_id) > 0
                      AND o.id IS NOT NULL AND r.transaction_id IS DISTINCT FROM t.id",
        quick: Quick::Same,
    },
    Check {
        name: "links",
        means: "what names a transaction names one that exists",
        money: false,
        complete: "SELECT 'related to ' || t.related_transaction_id || ': ' || t.id FROM wallet_transactions t
                     LEFT JOIN wallet_transactions o ON o.id = t.related_transaction_id
                    WHERE t.related_transaction_id IS NOT NULL AND o.id IS NULL
                   UNION ALL
                   SELECT 'line ' || e.id || ' of ' || e.transaction_id FROM transaction_events e
                     LEFT JOIN wallet_transactions t ON t.id = e.transaction_id WHERE t.id IS NULL
                   UNION ALL
                   SELECT r.kind || ' ' || r.external_id || ' of ' || r.transaction_id FROM external_refs r
                     LEFT JOIN wallet_transactions t ON t.id = r.transaction_id WHERE t.id IS NULL
                   UNION ALL
                   SELECT 'job ' || j.id || ' of ' || j.transaction_id FROM jobs j
                     LEFT JOIN wallet_transactions t ON t.id = j.transaction_id WHERE j.transaction_id IS NOT NULL AND t.id IS NULL
                   UNION ALL
                   SELECT 'call ' || c.idempotency_key FROM stripe_calls c
                     LEFT JOIN wallet_transactions t ON t.id = c.subject_id
                    WHERE c.operation NOT IN ('customer', 'account') AND t.id IS NULL",
        quick: Quick::Never,
    },
    Check {
        name: "I14 sealed",
        means: "every encrypted column holds a sealed value under a key that is known",
        money: false,
        complete: concat!(
            "SELECT place FROM (", sealed!(), ") AS s
              WHERE value !~ '^v1\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.[A-Za-z0-9_-]{38,}$'
                 OR NOT EXISTS (SELECT 1 FROM user_keys k WHERE k.key_id::text = split_part(s.value, '.', 2))"
        ),
        quick: Quick::Never,
    },
    Check {
        name: "I14 nonces",
        means: "no key has sealed two values with one nonce",
        money: false,
        // A nonce of 12 bytes is 16 characters of base64.
        complete: concat!(
            "SELECT min(place) || ' and ' || max(place) FROM (", sealed!(), ") AS s
              GROUP BY split_part(value, '.', 2), left(split_part(value, '.', 3), 16) HAVING count(*) > 1"
        ),
        quick: Quick::Never,
    },
];
