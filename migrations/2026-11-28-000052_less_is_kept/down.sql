DROP INDEX stripe_events_bodies;
DROP INDEX idempotency_keys_bare;
