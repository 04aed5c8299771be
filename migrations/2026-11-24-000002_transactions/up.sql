-- Transactions and what is told about them. Partitioned by month on the UUIDv7 id, so that a look-up by id touches one partition.

CREATE TABLE wallet_transactions (
    id                         uuid               NOT NULL,
    wallet_id                  uuid               NOT NULL REFERENCES wallets (id),
    user_id                    uuid               NOT NULL,
    transaction_type           transaction_type   NOT NULL,
    status                     transaction_status NOT NULL DEFAULT 'pending',
    -- The exact state of the flow; the status is what it means to a client. docs/FLOWS.md draws the machines.
    stage                      varchar(32)        NOT NULL,
    amount                     numeric(15,2)      NOT NULL CHECK (amount > 0),
    fee                        numeric(15,2)      CHECK (fee >= 0 AND fee <= amount),
    currency                   varchar(3)         NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    reference                  varchar(255),
    counterparty_wallet_id     uuid               CHECK (counterparty_wallet_id <> wallet_id),
    related_transaction_id     uuid,
    stripe_payment_intent_id   varchar(255),
    stripe_transfer_id         varchar(255),
    stripe_payout_id           varchar(255),
    -- Where a withdrawal goes: fixed when it is accepted, so that a later change of the wallet cannot redirect it.
    stripe_account_id          varchar(255),
    stripe_payment_method_id   varchar(255),
    encrypted_client_secret    text,
    encrypted_sender_details   text,
    encrypted_receiver_details text,
    encrypted_bank_id          text,
    encrypted_account_name     text,
    payment_method             payment_method,
    description                text,
    metadata                   jsonb,
    failure_reason             text,
    created_at                 timestamptz        NOT NULL DEFAULT now(),
    updated_at                 timestamptz        NOT NULL DEFAULT now(),
    PRIMARY KEY (id),
    CHECK ((transaction_type IN ('transfer', 'payment')) = (counterparty_wallet_id IS NOT NULL) OR transaction_type = 'refund')
) PARTITION BY RANGE (id);

-- A wallet's history, newest first, also as the counterparty.
CREATE INDEX wallet_transactions_wallet ON wallet_transactions (wallet_id, id DESC);
CREATE INDEX wallet_transactions_counterparty ON wallet_transactions (counterparty_wallet_id, id DESC)
    WHERE counterparty_wallet_id IS NOT NULL;
CREATE INDEX wallet_transactions_related ON wallet_transactions (related_transaction_id) WHERE related_transaction_id IS NOT NULL;
-- What is not final, oldest change first: watched by operators and asked about at Stripe.
CREATE INDEX wallet_transactions_open ON wallet_transactions (updated_at) WHERE status IN ('pending', 'processing');

-- Every step, attempt and answer, in words a user understands.
CREATE TABLE transaction_events (
    transaction_id uuid        NOT NULL,
    id             uuid        NOT NULL,
    kind           varchar(40) NOT NULL,
    message        text        NOT NULL,
    detail         jsonb,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, id)
) PARTITION BY RANGE (transaction_id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transaction_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE transaction_events ENABLE ALWAYS TRIGGER append_only;

-- Unique things do not live on partitioned tables.
CREATE TABLE external_refs (
    kind           varchar(32)  NOT NULL,
    external_id    varchar(255) NOT NULL,
    transaction_id uuid         NOT NULL,
    created_at     timestamptz  NOT NULL,
    PRIMARY KEY (kind, external_id)
);
CREATE INDEX external_refs_transaction ON external_refs (transaction_id);

-- What a client's key stood for: the same key and input give the same answer, for years.
CREATE TABLE idempotency_keys (
    user_id        uuid         NOT NULL,
    key            varchar(255) NOT NULL,
    fingerprint    bytea        NOT NULL,
    wallet_id      uuid,
    transaction_id uuid,
    created_at     timestamptz  NOT NULL,
    PRIMARY KEY (user_id, key),
    CHECK (num_nonnulls(wallet_id, transaction_id) = 1)
);
