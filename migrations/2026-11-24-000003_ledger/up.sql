-- Double-entry ledger: signed amounts, append-only, every transaction's entries sum to zero for each currency.

CREATE TABLE ledger_entries (
    transaction_id uuid          NOT NULL,
    id             uuid          NOT NULL,
    wallet_id      uuid,
    account        varchar(32)   NOT NULL CHECK (account IN (
        'wallet:available', 'wallet:frozen',
        'stripe:clearing', 'stripe:in_transit', 'stripe:fees',
        'platform:fees', 'platform:suspense', 'platform:receivable')),
    amount         numeric(15,2) NOT NULL CHECK (amount <> 0),
    currency       varchar(3)    NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    created_at     timestamptz   NOT NULL,
    PRIMARY KEY (transaction_id, id),
    CHECK ((wallet_id IS NOT NULL) = (account LIKE 'wallet:%'))
) PARTITION BY RANGE (transaction_id);

CREATE INDEX ledger_entries_wallet ON ledger_entries (wallet_id, account) WHERE wallet_id IS NOT NULL;
CREATE INDEX ledger_entries_account ON ledger_entries (account, currency) WHERE wallet_id IS NULL;

CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT transaction_id, currency, sum(amount) AS total INTO wrong
      FROM added GROUP BY transaction_id, currency HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger entries of transaction % sum to % %, not to zero', wrong.transaction_id, wrong.total, wrong.currency
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER balanced AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Also for sessions that switch ordinary triggers off.
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER balanced;
ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER append_only;
