-- What a job waits for, as a word of its own; its sentence is in last_error. Everything here only adds.

ALTER TABLE jobs
    -- Of the last run that did not end it; versions before this one leave it alone.
    ADD COLUMN waits_for varchar(20);

-- The column is new, so that no row has anything else.
ALTER TABLE jobs
    ADD CONSTRAINT jobs_waits_for_check
        CHECK (waits_for IN ('person', 'job', 'event', 'funds', 'keys', 'database', 'lock', 'lock_overdue',
                             'provider_away', 'provider', 'permission', 'money_out', 'newer_version')) NOT VALID;
