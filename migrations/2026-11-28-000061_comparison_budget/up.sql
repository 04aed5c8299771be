-- The comparison with Stripe has a budget of its own beside the sweeps'.
ALTER TABLE call_budgets
    DROP CONSTRAINT call_budgets_name_check,
    ADD CONSTRAINT call_budgets_name_check CHECK (name IN ('sweeps', 'comparison'));
