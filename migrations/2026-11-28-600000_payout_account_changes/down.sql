DROP TABLE payout_account_changes;
