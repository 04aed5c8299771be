-- The queue. Redis carries ids of these rows and nothing else; a job is deleted in the transaction of its effect.

CREATE TABLE jobs (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue          varchar(16)  NOT NULL CHECK (queue IN ('transfers', 'deposits', 'withdrawals', 'webhooks', 'maintenance')),
    kind           varchar(40)  NOT NULL,
    transaction_id uuid,
    -- The wallets to lock before the job's posting.
    wallet_ids     uuid[]       NOT NULL DEFAULT '{}',
    payload        jsonb        NOT NULL DEFAULT '{"v": 1}',
    -- At most one job for a thing, such as one for each Stripe event.
    unique_key     varchar(255) UNIQUE,
    -- Not before this instant of the application's clock.
    run_at         timestamptz  NOT NULL,
    -- When its id was last given to Redis, by PostgreSQL's clock; NULL when a dispatcher has to do so.
    handed_over_at timestamptz,
    -- Starts that used up the budget, and starts since the last orderly end (a crash leaves it raised).
    attempts       integer      NOT NULL DEFAULT 0,
    starts         integer      NOT NULL DEFAULT 0,
    -- Raised by every claim; a write that brings an older one changes nothing.
    fence          bigint       NOT NULL DEFAULT 0,
    lease_owner    varchar(120),
    lease_until    timestamptz,
    -- A parked job waits for an operator.
    parked_at      timestamptz,
    last_error     text,
    created_at     timestamptz  NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- What a dispatcher looks for: not yet dispatched, in order of acceptance.
CREATE INDEX jobs_to_hand_over ON jobs (queue, id) WHERE handed_over_at IS NULL AND parked_at IS NULL;
-- What Redis or a worker may have lost.
CREATE INDEX jobs_handed_over ON jobs (queue, handed_over_at) WHERE handed_over_at IS NOT NULL AND parked_at IS NULL;
CREATE INDEX jobs_transaction ON jobs (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX jobs_parked ON jobs (parked_at) WHERE parked_at IS NOT NULL;

-- Contradictions and parked work: open until somebody closes them.
CREATE TABLE alarms (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      varchar(40)  NOT NULL,
    subject   varchar(255) NOT NULL,
    message   text         NOT NULL,
    raised_at timestamptz  NOT NULL,
    seen      integer      NOT NULL DEFAULT 1,
    closed_at timestamptz
);
CREATE UNIQUE INDEX alarms_open ON alarms (kind, subject) WHERE closed_at IS NULL;
