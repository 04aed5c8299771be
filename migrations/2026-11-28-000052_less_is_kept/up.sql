-- What housekeeping looks for, so that looking costs nothing when there is none. Everything here only adds.

-- Digests of requests that an earlier version stored without a key.
CREATE INDEX idempotency_keys_bare ON idempotency_keys (created_at) WHERE octet_length(fingerprint) = 32;
-- Bodies of events that are kept still.
CREATE INDEX stripe_events_bodies ON stripe_events (received_at) WHERE encrypted_body IS NOT NULL;
