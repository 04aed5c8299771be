ALTER TABLE wallets
    DROP COLUMN payout_account_changed_at;
