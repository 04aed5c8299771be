-- One more check that runs by itself: whether Stripe holds what the wallets hold.
ALTER TABLE verifications DROP CONSTRAINT verifications_name_check;
ALTER TABLE verifications ADD CONSTRAINT verifications_name_check
    CHECK (name IN ('quick', 'complete', 'reconcile', 'backing'));
