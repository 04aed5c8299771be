-- A debt is the person's: caught from every wallet of a currency, by a transaction of its own. Programs of the version before go on
-- working on it: they catch from the wallet itself, and write no transaction for it.

ALTER TABLE wallet_transactions
    DROP CONSTRAINT wallet_transactions_flow_check,
    ADD CONSTRAINT wallet_transactions_flow_check CHECK (flow IN (
        'deposit', 'withdrawal', 'transfer', 'payment', 'payment_refund', 'deposit_refund', 'outside_refund',
        'refund_return', 'payout_return', 'dispute', 'dispute_return', 'dispute_loss', 'debt_payment'));

-- Asked with every settlement: nobody who owes nothing is in it.
CREATE INDEX wallets_owing ON wallets (user_id, currency) WHERE owed_balance > 0;
