-- How many questions to Stripe the housekeeping may queue now, all workers together: a token bucket.
CREATE TABLE call_budgets (
    name        varchar(40)      PRIMARY KEY CHECK (name = 'sweeps'),
    tokens      double precision NOT NULL CHECK (tokens >= 0),
    -- By the application's clock.
    refilled_at timestamptz      NOT NULL
);
