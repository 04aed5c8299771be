-- What was asked of Stripe and what Stripe told.

-- A row is committed before the first try of its call; the key is never used with other parameters.
CREATE TABLE stripe_calls (
    -- <operation>:<subject>:<attempt>, the Idempotency-Key of the request.
    idempotency_key   varchar(255) PRIMARY KEY,
    operation         varchar(40)  NOT NULL,
    -- The transaction, or the person for shared objects.
    subject_id        uuid         NOT NULL,
    attempt           integer      NOT NULL CHECK (attempt > 0),
    encrypted_params  text,
    -- prepared: never sent; unknown: sent without a trustworthy answer; succeeded, refused: definite.
    outcome           varchar(16)  NOT NULL CHECK (outcome IN ('prepared', 'unknown', 'succeeded', 'refused')),
    tries             integer      NOT NULL DEFAULT 0,
    first_tried_at    timestamptz,
    stripe_object_id  varchar(255),
    stripe_request_id varchar(255),
    error_code        varchar(64),
    created_at        timestamptz  NOT NULL,
    updated_at        timestamptz  NOT NULL,
    UNIQUE (operation, subject_id, attempt)
);

-- The inbox: stored first, understood later.
CREATE TABLE stripe_events (
    -- evt_…, or sha256:… of a signed body that names no id.
    id             varchar(255) PRIMARY KEY,
    account        varchar(255),
    type           varchar(100),
    api_version    varchar(40),
    livemode       boolean,
    object_id      varchar(255),
    encrypted_body text,
    body_sha256    bytea        NOT NULL,
    state          varchar(16)  NOT NULL CHECK (state IN ('received', 'processed', 'ignored', 'parked')),
    note           text,
    received_at    timestamptz  NOT NULL,
    processed_at   timestamptz
);
CREATE INDEX stripe_events_unprocessed ON stripe_events (received_at) WHERE state IN ('received', 'parked');
CREATE INDEX stripe_events_object ON stripe_events (object_id) WHERE object_id IS NOT NULL;
