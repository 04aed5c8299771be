-- What the campaign has PostgreSQL itself notice, in the transaction in which it happens.
CREATE SCHEMA campaign;

-- The claim that was given last, by job; it stays when the job is done.
CREATE TABLE campaign.claims (job bigint PRIMARY KEY, fence bigint NOT NULL);
CREATE FUNCTION campaign.note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO campaign.claims VALUES (NEW.id, NEW.fence)
    ON CONFLICT (job) DO UPDATE SET fence = excluded.fence;
    RETURN NULL;
END $$;
CREATE TRIGGER campaign AFTER INSERT OR UPDATE OF fence ON jobs
    FOR EACH ROW EXECUTE FUNCTION campaign.note_claim();

-- Settlements under a claim that was void.
CREATE TABLE campaign.stale (job bigint NOT NULL, fence bigint NOT NULL, given bigint NOT NULL);
CREATE FUNCTION campaign.note_settlement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO campaign.stale
    SELECT given.job, (used ->> 1)::bigint, given.fence
      FROM jsonb_array_elements(NEW.detail -> 'claims') used
      JOIN campaign.claims given ON given.job = (used ->> 0)::bigint
     WHERE given.fence <> (used ->> 1)::bigint;
    RETURN NULL;
END $$;
CREATE TRIGGER campaign AFTER INSERT ON audit_log
    FOR EACH ROW WHEN (NEW.action = 'settle') EXECUTE FUNCTION campaign.note_settlement();

-- Events that count as processed although their job goes on after the commit.
CREATE TABLE campaign.early (event text NOT NULL);
CREATE FUNCTION campaign.note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO campaign.early
    SELECT NEW.id FROM jobs WHERE kind = 'stripe_event' AND payload ->> 'event' = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER campaign AFTER UPDATE OF state ON stripe_events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.state = 'received' AND NEW.state IN ('processed', 'ignored'))
    EXECUTE FUNCTION campaign.note_event();

-- Webhooks that were here before we had recorded the answer to the call that made their object.
CREATE TABLE campaign.ahead (event text NOT NULL, object text NOT NULL);
CREATE FUNCTION campaign.note_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO campaign.ahead
    SELECT id, object_id FROM stripe_events WHERE object_id = NEW.stripe_object_id AND source = 'webhook';
    RETURN NULL;
END $$;
CREATE TRIGGER campaign AFTER UPDATE OF stripe_object_id ON stripe_calls
    FOR EACH ROW WHEN (OLD.stripe_object_id IS NULL AND NEW.stripe_object_id IS NOT NULL)
    EXECUTE FUNCTION campaign.note_answer();
