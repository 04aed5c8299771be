ALTER TABLE stripe_events DROP COLUMN source;
DROP TABLE stripe_event_cursors;
DROP TABLE stripe_accounts;
DROP TABLE fee_rules;
ALTER TABLE wallets DROP COLUMN owed_balance;
ALTER TABLE wallet_transactions
    DROP COLUMN checked_at, DROP COLUMN available_on, DROP COLUMN stripe_dispute_id, DROP COLUMN stripe_refund_id,
    DROP COLUMN held_amount, DROP COLUMN flow;
