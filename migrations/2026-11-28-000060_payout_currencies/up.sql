-- In which currencies an account can be paid out. Everything here only adds.

ALTER TABLE stripe_accounts
    -- The currencies of its bank accounts and debit cards at Stripe, in small letters; NULL when Stripe has not told.
    ADD COLUMN bank_currencies text[];
