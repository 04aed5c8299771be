DELETE FROM verifications WHERE name = 'backing';
ALTER TABLE verifications DROP CONSTRAINT verifications_name_check;
ALTER TABLE verifications ADD CONSTRAINT verifications_name_check CHECK (name IN ('quick', 'complete', 'reconcile'));
