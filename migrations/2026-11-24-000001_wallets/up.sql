-- Wallets, the customers behind them, and the functions that every later table uses.

-- Names and meaning of these labels are part of the public contract.
CREATE TYPE transaction_type AS ENUM ('deposit', 'withdrawal', 'transfer', 'payment', 'refund');
CREATE TYPE transaction_status AS ENUM ('pending', 'processing', 'completed', 'failed', 'cancelled');
CREATE TYPE payment_method AS ENUM ('stripe', 'bank_transfer', 'credit_card', 'debit_card');

CREATE TABLE wallets (
    id                     uuid PRIMARY KEY,
    user_id                uuid          NOT NULL,
    currency               varchar(3)    NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    -- Running sums of the wallet's ledger entries, kept by the posting function alone.
    balance                numeric(15,2) NOT NULL DEFAULT 0 CHECK (balance >= 0),
    frozen_balance         numeric(15,2) NOT NULL DEFAULT 0 CHECK (frozen_balance >= 0),
    stripe_customer_id     varchar(255),
    stripe_account_id      varchar(255),
    encrypted_bank_details text,
    is_active              boolean       NOT NULL DEFAULT false,
    created_at             timestamptz   NOT NULL DEFAULT now(),
    updated_at             timestamptz   NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

COMMENT ON COLUMN wallets.balance IS 'spendable now, major units of currency; equals the sum of the wallet''s wallet:available entries';
COMMENT ON COLUMN wallets.frozen_balance IS 'held for withdrawals under way and disputes; equals the sum of the wallet''s wallet:frozen entries';

CREATE INDEX wallets_user_id ON wallets (user_id, id);
CREATE INDEX wallets_stripe_account_id ON wallets (stripe_account_id) WHERE stripe_account_id IS NOT NULL;

-- One Stripe customer for each person, however many wallets and however many workers ask at once.
CREATE TABLE stripe_customers (
    user_id            uuid PRIMARY KEY,
    stripe_customer_id varchar(255) NOT NULL UNIQUE,
    created_at         timestamptz  NOT NULL
);

-- Append-only tables share this guard.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: rows are only ever added', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- The smallest UUIDv7 of an instant (RFC 9562, section 5.7): monthly partitions are bounded by it.
CREATE FUNCTION lowest_uuid_at(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Makes the partition of one table for the month that begins at month_start (UTC), unless it exists: created apart and then
-- attached, so that readers and writers of the parent wait only for the attachment.
CREATE FUNCTION create_month_partition(parent text, month_start timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    child     text := parent || '_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYYMM');
    month_end timestamptz := (date_trunc('month', month_start AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
    IF parent = 'ledger_entries' THEN
        EXECUTE format('CREATE TRIGGER balanced AFTER INSERT ON %I REFERENCING NEW TABLE AS added
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced()', child);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER balanced', child);
    END IF;
    IF parent IN ('ledger_entries', 'transaction_events') THEN
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', child);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', child);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, child, lowest_uuid_at(month_start), lowest_uuid_at(month_end));
    RETURN true;
END $$;
