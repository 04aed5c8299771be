-- Where a wallet pays out to may change; new withdrawals wait for a while then. Everything here only adds.

ALTER TABLE wallets
    -- When stripe_account_id took the place of another account; NULL when it never did.
    ADD COLUMN payout_account_changed_at timestamptz;
