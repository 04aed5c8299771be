ALTER TABLE stripe_accounts
    DROP COLUMN bank_currencies;
