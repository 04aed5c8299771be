DROP TABLE idempotency_keys;
DROP TABLE external_refs;
DROP TABLE transaction_events;
DROP TABLE wallet_transactions;
