-- Whether the books hold: when they were last checked, the switch that keeps money from leaving, and what of the balance at Stripe
-- is the platform's own. Everything here only adds.

-- One row for each check that runs by itself, so that of all workers one runs it.
CREATE TABLE verifications (
    name       varchar(40) PRIMARY KEY CHECK (name IN ('quick', 'complete', 'reconcile')),
    -- When a worker last began, by the application's clock.
    asked_at   timestamptz NOT NULL,
    -- When it ended; older than asked_at while it runs, or after it was interrupted.
    done_at    timestamptz,
    -- Until where the last run, and the run before it, had seen changes: ids of audit_log and of database transactions.
    audit_seen bigint,
    audit_before bigint,
    xid_seen   bigint,
    xid_before bigint
);

-- Read and locked by every call that sends money out; changed by operators and by checks that fail.
CREATE TABLE switches (
    name       varchar(40)  PRIMARY KEY CHECK (name = 'money_out'),
    is_open    boolean      NOT NULL,
    reason     text,
    changed_by varchar(120) NOT NULL,
    changed_at timestamptz  NOT NULL,
    CHECK (is_open OR reason IS NOT NULL)
);
INSERT INTO switches (name, is_open, changed_by, changed_at) VALUES ('money_out', true, 'migration', now());

-- What of the platform's balance at Stripe is its own and no wallet's: top-ups, payouts to its own bank, what it held before.
CREATE TABLE platform_movements (
    -- txn_…, or opening:<currency>.
    id          varchar(255)  PRIMARY KEY,
    kind        varchar(40)   NOT NULL,
    -- What the balance changed by, in major units, as Stripe signs it.
    net         numeric(15,2) NOT NULL,
    currency    varchar(3)    NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    moved_at    timestamptz   NOT NULL,
    -- Why an operator says so; NULL when its kind says it.
    reason      text,
    recorded_by varchar(120)  NOT NULL,
    recorded_at timestamptz   NOT NULL
);
