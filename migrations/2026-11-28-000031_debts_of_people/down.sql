DROP INDEX wallets_owing;
ALTER TABLE wallet_transactions
    DROP CONSTRAINT wallet_transactions_flow_check,
    ADD CONSTRAINT wallet_transactions_flow_check CHECK (flow IN (
        'deposit', 'withdrawal', 'transfer', 'payment', 'payment_refund', 'deposit_refund', 'outside_refund',
        'refund_return', 'payout_return', 'dispute', 'dispute_return', 'dispute_loss'));
