ALTER TABLE wallet_transactions
    DROP COLUMN cancel_requested_by,
    DROP COLUMN cancel_requested_at;
