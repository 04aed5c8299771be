-- Legal rows, as if a million transfers had been accepted and executed in batches: :wallets wallets, :transfers transfers.
\set ON_ERROR_STOP on
SET synchronous_commit = off;
CREATE FUNCTION pg_temp.id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM date_trunc('month', now())) * 1000)::bigint + n / 1000), 12, '0')
            || '7' || lpad(to_hex(kind), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$;
CREATE TEMP TABLE w AS SELECT n, pg_temp.id(1, n) AS id, pg_temp.id(2, n) AS user_id FROM generate_series(0, :wallets - 1) AS n;
CREATE TEMP TABLE t AS
    SELECT s.n, pg_temp.id(3, s.n) AS id, f.id AS payer, f.user_id, p.id AS payee, now() AS at
      FROM generate_series(1, :transfers::bigint) AS s (n)
      JOIN w f ON f.n = s.n % :wallets JOIN w p ON p.n = (s.n + 1) % :wallets;
CREATE TEMP TABLE d AS SELECT n, pg_temp.id(4, n) AS id, id AS wallet_id, user_id, now() AS at FROM w;

INSERT INTO wallets (id, user_id, currency, balance, is_active) SELECT id, user_id, 'usd', 1000, true FROM w;
INSERT INTO wallet_transactions (id, wallet_id, user_id, transaction_type, flow, status, stage, amount, currency)
    SELECT id, wallet_id, user_id, 'deposit', 'deposit', 'completed', 'completed', 1000, 'usd' FROM d;
INSERT INTO wallet_transactions (id, wallet_id, user_id, counterparty_wallet_id, transaction_type, flow, status, stage, amount, currency)
    SELECT id, payer, user_id, payee, 'transfer', 'transfer', 'completed', 'completed', 0.01, 'usd' FROM t;
INSERT INTO ledger_entries (transaction_id, id, wallet_id, account, amount, currency, created_at)
    SELECT id, pg_temp.id(5, n), wallet_id, 'wallet:available', 1000, 'usd', at FROM d
    UNION ALL SELECT id, pg_temp.id(6, n), NULL, 'stripe:clearing', -1000, 'usd', at FROM d
    UNION ALL SELECT id, pg_temp.id(7, n), payer, 'wallet:available', -0.01, 'usd', at FROM t
    UNION ALL SELECT id, pg_temp.id(8, n), payee, 'wallet:available', 0.01, 'usd', at FROM t;
INSERT INTO transaction_events (transaction_id, id, kind, message, created_at)
    SELECT id, pg_temp.id(9, n), 'accepted', 'transfer of 0.01 usd accepted', at FROM t
    UNION ALL SELECT id, pg_temp.id(10, n), 'completed', 'done', at FROM t;
INSERT INTO audit_log (at, actor, action, request_id, transaction_ids, wallet_ids, detail)
    SELECT at, 'user:' || user_id, 'accept', 'planted', ARRAY[id], ARRAY[wallet_id], '{"type": "deposit", "flow": "deposit"}'::jsonb FROM d
    UNION ALL SELECT at, 'user:' || user_id, 'accept', 'planted', ARRAY[id], ARRAY[payer, payee], '{"type": "transfer", "flow": "transfer"}'::jsonb FROM t;
INSERT INTO audit_log (at, actor, action, transaction_ids, wallet_ids, detail)
    SELECT min(at), 'worker:planted', 'settle', array_agg(id), array_agg(wallet),
           jsonb_build_object('stages', jsonb_agg('["accepted", "completed"]'::jsonb))
      FROM (SELECT n, id, wallet_id AS wallet, at FROM d UNION ALL SELECT n + 1000000000, id, payer, at FROM t) AS done
     GROUP BY n / 200;
VACUUM ANALYZE wallets, wallet_transactions, ledger_entries, transaction_events, audit_log;
