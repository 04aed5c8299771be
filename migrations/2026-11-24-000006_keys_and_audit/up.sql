-- Data keys, sessions taken back, and the audit trail.

-- One data key for each person, wrapped by the key of the environment; the nil UUID is the system's own.
CREATE TABLE user_keys (
    user_id      uuid PRIMARY KEY,
    key_id       uuid        NOT NULL UNIQUE,
    -- Names the wrapping key without revealing it, so that rotation can find what is left to do.
    wrapping_key varchar(16) NOT NULL,
    wrapped_key  text,
    created_at   timestamptz NOT NULL,
    rewrapped_at timestamptz,
    -- Destroyed keys stay as rows: what they sealed can never be read again.
    destroyed_at timestamptz,
    CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE INDEX user_keys_wrapping_key ON user_keys (wrapping_key);

CREATE TABLE revoked_sessions (
    session_id varchar(255) PRIMARY KEY,
    user_id    uuid        NOT NULL,
    revoked_at timestamptz NOT NULL
);

-- Written in the transaction of what it records; one row may cover a batch.
CREATE TABLE audit_log (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz  NOT NULL,
    actor           varchar(120) NOT NULL,
    action          varchar(40)  NOT NULL,
    request_id      varchar(64),
    transaction_ids uuid[]       NOT NULL DEFAULT '{}',
    wallet_ids      uuid[]       NOT NULL DEFAULT '{}',
    detail          jsonb        NOT NULL DEFAULT '{}'
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER append_only;
