DROP TABLE call_budgets;
