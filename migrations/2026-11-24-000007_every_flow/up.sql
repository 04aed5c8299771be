-- Payments with a fee, refunds, returned payouts, disputes; what is known of connected accounts; events found by paging.
-- Everything here only adds, so that programs of the version before go on working on it.

ALTER TABLE wallet_transactions
    -- Which state machine it walks: a type can have several (docs/FLOWS.md). NULL on rows of older versions: the type says it.
    ADD COLUMN flow              varchar(20) CHECK (flow IN (
        'deposit', 'withdrawal', 'transfer', 'payment', 'payment_refund', 'deposit_refund', 'outside_refund',
        'refund_return', 'payout_return', 'dispute')),
    -- What is frozen for it when that can be less than its amount: outside refunds and disputes.
    ADD COLUMN held_amount       numeric(15,2) CHECK (held_amount >= 0 AND held_amount <= amount),
    ADD COLUMN stripe_refund_id  varchar(255),
    ADD COLUMN stripe_dispute_id varchar(255),
    -- When Stripe makes a deposit's money available to the platform; the wallet can spend it before.
    ADD COLUMN available_on      timestamptz,
    -- When Stripe was last asked about it because it had been quiet.
    ADD COLUMN checked_at        timestamptz;

ALTER TABLE wallets
    -- What its owner owes the platform for disputes and refunds that the balance could not cover; caught from later credits.
    ADD COLUMN owed_balance numeric(15,2) NOT NULL DEFAULT 0 CHECK (owed_balance >= 0);

-- What the platform keeps of a payment. The most particular rule counts: of the payee in the currency, of the currency, of all.
CREATE TABLE fee_rules (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    currency      varchar(3) CHECK (currency ~ '^[a-z]{3}$'),
    payee_user_id uuid,
    basis_points  integer       NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    -- Major units of the currency; a rule for all currencies has neither.
    minimum       numeric(15,2) CHECK (minimum >= 0),
    maximum       numeric(15,2) CHECK (maximum >= minimum),
    updated_at    timestamptz   NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (currency, payee_user_id),
    CHECK (currency IS NOT NULL OR num_nonnulls(payee_user_id, minimum, maximum) = 0)
);
INSERT INTO fee_rules (basis_points) VALUES (100);

-- Connected accounts that a wallet pays out to, as Stripe last described them.
CREATE TABLE stripe_accounts (
    stripe_account_id varchar(255) PRIMARY KEY,
    user_id           uuid        NOT NULL,
    payouts_enabled   boolean     NOT NULL,
    -- Why payouts are not enabled, in Stripe's words.
    disabled_reason   text,
    -- When money was last sent to it: its events are read for weeks after, since payouts can fail late.
    paid_at           timestamptz,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE INDEX stripe_accounts_user_id ON stripe_accounts (user_id);
CREATE INDEX stripe_accounts_paid_at ON stripe_accounts (paid_at) WHERE paid_at IS NOT NULL;

-- How far Stripe's list of events has been read: of the platform ('') and of each connected account.
CREATE TABLE stripe_event_cursors (
    account    varchar(255) PRIMARY KEY,
    -- The creation of the newest event read; NULL before the first reading.
    read_until timestamptz,
    -- When the list was last to be read.
    asked_at   timestamptz NOT NULL
);

ALTER TABLE stripe_events
    -- A fetched event is not byte for byte what a webhook carries.
    ADD COLUMN source varchar(8) NOT NULL DEFAULT 'webhook' CHECK (source IN ('webhook', 'list'));
