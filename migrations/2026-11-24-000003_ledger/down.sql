DROP TABLE ledger_entries;
DROP FUNCTION refuse_unbalanced();
