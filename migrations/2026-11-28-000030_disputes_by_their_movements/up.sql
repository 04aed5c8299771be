-- Disputes end by the net of their movements, and what moves after that is a transaction of its own; deposits that support has decided
-- about keep what was asked for. Programs of the version before go on working on it: they write none of these columns.

ALTER TABLE wallet_transactions
    -- What a dispute takes of its wallet: frozen, paid and owed together. NULL: its amount.
    ADD COLUMN claimed_amount   numeric(15,2) CHECK (claimed_amount >= 0),
    -- What was asked for, where something else was credited and is the amount since.
    ADD COLUMN requested_amount numeric(15,2) CHECK (requested_amount > 0),
    DROP CONSTRAINT wallet_transactions_flow_check,
    ADD CONSTRAINT wallet_transactions_flow_check CHECK (flow IN (
        'deposit', 'withdrawal', 'transfer', 'payment', 'payment_refund', 'deposit_refund', 'outside_refund',
        'refund_return', 'payout_return', 'dispute', 'dispute_return', 'dispute_loss'));

-- Of disputes that were lost, what Stripe had taken was the loss, where it had told of any movement.
UPDATE wallet_transactions t
   SET claimed_amount = least(t.amount, greatest(m.taken, 0))
  FROM (SELECT e.transaction_id, sum(e.amount) AS taken
          FROM ledger_entries e JOIN external_refs r ON r.transaction_id = e.transaction_id AND r.kind = 'dispute'
         WHERE e.account IN ('stripe:clearing', 'stripe:fees') AND e.wallet_id IS NULL
         GROUP BY e.transaction_id) m
 WHERE t.id = m.transaction_id AND t.flow = 'dispute' AND t.stage = 'completed';

-- Of deposits that support has decided about, what was credited is the amount.
UPDATE wallet_transactions t
   SET requested_amount = t.amount, amount = c.credited
  FROM (SELECT e.transaction_id, sum(e.amount) AS credited
          FROM ledger_entries e
         WHERE e.account = 'wallet:available'
           AND e.transaction_id IN (SELECT s.transaction_id FROM ledger_entries s
                                     WHERE s.account = 'platform:suspense' AND s.wallet_id IS NULL)
         GROUP BY e.transaction_id HAVING sum(e.amount) > 0) c
 WHERE t.id = c.transaction_id AND t.flow = 'deposit' AND t.stage = 'completed' AND t.amount <> c.credited;
