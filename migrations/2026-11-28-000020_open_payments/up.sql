-- How many payments of a wallet are under way is asked at every deposit and withdrawal. Everything here only adds.

-- The statuses are written as they are asked for; which of the wallet's transactions are meant is not worth a wider index.
CREATE INDEX wallet_transactions_open_of_wallet ON wallet_transactions (wallet_id) WHERE status IN ('pending', 'processing');
