//! Entries, balances, holds, amounts: whether the money is where the ledger says.

use super::{Check, Quick};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "I1 currency",
        means: "all entries of a currency sum to zero",
        money: true,
        complete: "SELECT currency || ' sums to ' || {written: sum(amount): currency} FROM ledger_entries GROUP BY currency HAVING sum(amount) <> 0",
        quick: Quick::Never,
    },
    Check {
        name: "I1 transaction",
        means: "the entries of a transaction sum to zero for each currency",
        money: true,
        complete: "SELECT transaction_id || ' sums to ' || {written: sum(amount): currency}
                     FROM {entries} e GROUP BY transaction_id, currency HAVING sum(amount) <> 0",
        quick: Quick::Same,
    },
    Check {
        name: "I5 entries",
        means: "no entry without its transaction, and none in another currency than its wallet",
        money: true,
        // An entry of suspense may be in another currency than the transaction: that in which the money came.
        complete: "SELECT e.transaction_id || ' ' || e.account || ' ' || {written: e.amount: e.currency} FROM {entries} e
                     LEFT JOIN {transactions} t ON t.id = e.transaction_id LEFT JOIN wallets w ON w.id = e.wallet_id
                    WHERE t.id IS NULL OR w.currency <> e.currency OR (e.wallet_id IS NOT NULL AND w.id IS NULL)",
        quick: Quick::Same,
    },
    Check {
        name: "I6 balances",
        means: "balance and frozen balance of a wallet are the sums of its entries",
        money: true,
        complete: "SELECT w.id || ' has ' || {written: w.balance: w.currency} || ' + ' || {written: w.frozen_balance: w.currency}
                          || ', entries say ' || {written: coalesce(s.available, 0): w.currency} || ' + '
                          || {written: coalesce(s.held, 0): w.currency}
                     FROM {wallets} w LEFT JOIN (
                          SELECT wallet_id, coalesce(sum(amount) FILTER (WHERE account = 'wallet:available'), 0) AS available,
                                 coalesce(sum(amount) FILTER (WHERE account = 'wallet:frozen'), 0) AS held
                            FROM {wallet_entries} e WHERE wallet_id IS NOT NULL GROUP BY wallet_id) s ON s.wallet_id = w.id
                    WHERE w.balance <> coalesce(s.available, 0) OR w.frozen_balance <> coalesce(s.held, 0)",
        quick: Quick::Same,
    },
    Check {
        name: "I15 negative",
        means: "no balance and no debt is negative",
        money: true,
        complete: "SELECT id || ' has ' || {written: balance: currency} || ' + ' || {written: frozen_balance: currency}
                          || ', owes ' || {written: owed_balance: currency}
                     FROM wallets WHERE balance < 0 OR frozen_balance < 0 OR owed_balance < 0",
        quick: Quick::Same,
    },
    Check {
        name: "I16 holds",
        means: "what is held of a wallet is what its open transactions hold",
        money: true,
        // Open transactions are few and found by their index, so this is cheap every minute.
        complete: "SELECT w.id || ' has frozen ' || {written: w.frozen_balance: w.currency} || ', held '
                          || {written: coalesce(h.held, 0): w.currency}
                     FROM {wallets} w LEFT JOIN (
                          SELECT wallet_id,
                                 sum(CASE WHEN flow IN ('outside_refund', 'dispute') THEN held_amount ELSE amount END) AS held
                            FROM wallet_transactions
                           WHERE status IN ('pending', 'processing')
                             AND stage IN ('held', 'transferred', 'paying_out', 'returning', 'refunding', 'disputed')
                           GROUP BY wallet_id) h ON h.wallet_id = w.id
                    WHERE w.frozen_balance <> coalesce(h.held, 0)",
        quick: Quick::Same,
    },
    Check {
        name: "I16 postings",
        means: "each transaction has moved exactly what its stage says",
        money: true,
        // What was collected for a debt left the wallet for the receivables. Of disputes, only those that have ended and for which Stripe moved
        // something are checked: while one is open, no stage says what it has moved so far.
        complete: "SELECT t.id || ' ' || t.f || ' ' || t.stage || ' moved ' || {written: coalesce(s.net, 0): t.currency}
                     FROM (SELECT id, currency, stage, status, amount, claimed_amount, fee, coalesce(flow, transaction_type::text) AS f
                             FROM {transactions} t) t
                     LEFT JOIN (
                          SELECT transaction_id, currency,
                                 sum(amount) FILTER (WHERE account LIKE 'wallet:%' OR account = 'platform:receivable') AS net,
                                 bool_or(account = 'stripe:clearing') AS at_stripe
                            FROM {entries} e GROUP BY transaction_id, currency) s
                       ON s.transaction_id = t.id AND s.currency = t.currency
                    WHERE (t.f <> 'dispute' OR (t.status IN ('completed', 'cancelled') AND s.at_stripe))
                      AND coalesce(s.net, 0) <> CASE t.f || ':' || t.stage
                          WHEN 'deposit:completed' THEN t.amount
                          WHEN 'withdrawal:completed' THEN -t.amount
                          WHEN 'payment:completed' THEN -t.fee
                          WHEN 'payment_refund:completed' THEN t.fee
                          WHEN 'deposit_refund:completed' THEN -t.amount
                          WHEN 'outside_refund:completed' THEN -t.amount
                          WHEN 'refund_return:completed' THEN t.amount
                          WHEN 'payout_return:returning' THEN t.amount
                          WHEN 'payout_return:completed' THEN t.amount
                          WHEN 'dispute:completed' THEN -coalesce(t.claimed_amount, t.amount)
                          WHEN 'dispute_return:completed' THEN t.amount
                          WHEN 'dispute_loss:completed' THEN -t.amount
                          ELSE 0 END",
        quick: Quick::Same,
    },
    Check {
        name: "I16 receivable",
        means: "what is receivable is at least what is owed, while no dispute and no outside refund is open",
        money: true,
        complete: "SELECT o.currency || ': ' || {written: coalesce(-r.receivable, 0): o.currency} || ' receivable, '
                          || {written: o.owed: o.currency} || ' owed'
                     FROM (SELECT currency, sum(owed_balance) AS owed FROM wallets GROUP BY 1) o
                     LEFT JOIN (SELECT currency, sum(amount) AS receivable FROM ledger_entries
                                 WHERE account = 'platform:receivable' AND wallet_id IS NULL GROUP BY 1) r USING (currency)
                    WHERE coalesce(-r.receivable, 0) < o.owed
                      AND NOT EXISTS (SELECT 1 FROM wallet_transactions t WHERE t.flow IN ('dispute', 'outside_refund')
                                       AND t.status IN ('pending', 'processing'))",
        quick: Quick::Same,
    },
    Check {
        name: "I17 amounts",
        means: "amounts are positive, fees are within them, and none has more decimals than its currency",
        money: true,
        complete: "SELECT t.id || ' of ' || {written: t.amount: t.currency} || ', fee ' || {written: coalesce(t.fee, 0): t.currency}
                     FROM {transactions} t LEFT JOIN {currencies} AS c (code, decimals) ON c.code = t.currency
                    WHERE c.code IS NULL OR t.amount <= 0 OR t.fee < 0 OR t.fee > t.amount OR t.held_amount < 0
                       OR t.held_amount > t.amount OR t.amount <> round(t.amount, c.decimals) OR t.fee <> round(t.fee, c.decimals)",
        quick: Quick::Same,
    },
    Check {
        name: "I17 owners",
        means: "a transaction is in its wallet's currency and of its wallet's owner; one that moved money, also in its counterparty's",
        money: true,
        complete: "SELECT t.id || ' of wallet ' || t.wallet_id
                     FROM {transactions} t LEFT JOIN wallets w ON w.id = t.wallet_id
                     LEFT JOIN wallets c ON c.id = t.counterparty_wallet_id
                    WHERE w.id IS NULL OR w.currency <> t.currency OR w.user_id <> t.user_id
                       OR (t.counterparty_wallet_id IS NOT NULL AND c.id IS NULL)
                       OR (t.status = 'completed' AND c.currency <> t.currency)",
        quick: Quick::Same,
    },
    Check {
        name: "I25 totals",
        means: "what all wallets hold is what the platform's accounts say, for each currency",
        money: true,
        complete: "SELECT currency || ': wallets hold ' || {written: coalesce(w.held, 0): currency} || ', the platform owes '
                          || {written: -coalesce(p.total, 0): currency}
                     FROM (SELECT currency, sum(balance + frozen_balance) AS held FROM wallets GROUP BY 1) w
                     FULL JOIN (SELECT currency, sum(amount) AS total FROM ledger_entries WHERE wallet_id IS NULL GROUP BY 1) p
                     USING (currency)
                    WHERE coalesce(w.held, 0) + coalesce(p.total, 0) <> 0",
        quick: Quick::Never,
    },
    Check {
        name: "I25 history",
        means: "the history that an owner sees adds up to the wallet's balance",
        money: true,
        // The history subtracts debts at once; a debt payment, from any wallet, pays the wallet that owes. Of open transactions, only debts count.
        complete: "WITH moved AS (
                       SELECT wallet_id, CASE coalesce(flow, transaction_type::text)
                                   WHEN 'deposit' THEN amount WHEN 'refund_return' THEN amount WHEN 'payout_return' THEN amount
                                   WHEN 'dispute_return' THEN amount WHEN 'dispute' THEN -coalesce(claimed_amount, amount)
                                   WHEN 'payment_refund' THEN coalesce(fee, 0) - amount ELSE -amount END AS change
                         FROM wallet_transactions WHERE status = 'completed' OR (flow = 'payout_return' AND stage = 'returning')
                       UNION ALL
                       SELECT counterparty_wallet_id,
                              amount - CASE WHEN transaction_type = 'payment' THEN coalesce(fee, 0) ELSE 0 END
                         FROM wallet_transactions WHERE status = 'completed' AND counterparty_wallet_id IS NOT NULL
                       UNION ALL
                       SELECT coalesce(c.wallet_id, t.wallet_id), t.amount
                         FROM wallet_transactions t LEFT JOIN wallet_transactions c ON c.id = t.related_transaction_id
                        WHERE t.flow = 'debt_payment' AND t.status = 'completed'
                       UNION ALL
                       SELECT wallet_id, held_amount - coalesce(claimed_amount, amount)
                         FROM wallet_transactions
                        WHERE status = 'processing' AND flow IN ('dispute', 'outside_refund') AND stage IN ('disputed', 'refunding')),
                   summed AS (SELECT wallet_id, sum(change) AS total FROM moved GROUP BY wallet_id)
                   SELECT w.id || ' holds ' || {written: w.balance + w.frozen_balance: w.currency} || ' and owes '
                          || {written: w.owed_balance: w.currency} || ', its history says ' || {written: coalesce(s.total, 0): w.currency}
                     FROM wallets w LEFT JOIN summed s ON s.wallet_id = w.id
                    WHERE w.balance + w.frozen_balance - w.owed_balance <> coalesce(s.total, 0)",
        quick: Quick::Never,
    },
];
