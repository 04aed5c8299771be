-- The wait after a change of the payout account belongs to a person and an account, whichever wallet names it. Everything here only adds.

CREATE TABLE payout_account_changes (
    user_id           uuid         NOT NULL,
    stripe_account_id varchar(255) NOT NULL,
    -- When the person last named or opened it while being paid elsewhere.
    changed_at        timestamptz  NOT NULL,
    PRIMARY KEY (user_id, stripe_account_id)
);

INSERT INTO payout_account_changes (user_id, stripe_account_id, changed_at)
SELECT user_id, stripe_account_id, max(payout_account_changed_at) FROM wallets
 WHERE stripe_account_id IS NOT NULL AND payout_account_changed_at IS NOT NULL
 GROUP BY user_id, stripe_account_id;
