DELETE FROM call_budgets WHERE name <> 'sweeps';
ALTER TABLE call_budgets
    DROP CONSTRAINT call_budgets_name_check,
    ADD CONSTRAINT call_budgets_name_check CHECK (name = 'sweeps');
