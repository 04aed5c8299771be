-- A cancellation that was asked for is remembered until it can be carried out. Everything here only adds.

ALTER TABLE wallet_transactions
    -- When its owner, or an operator, first asked to cancel it; NULL when nobody did.
    ADD COLUMN cancel_requested_at timestamptz,
    -- Who that was.
    ADD COLUMN cancel_requested_by varchar
        CHECK (cancel_requested_by IN ('owner', 'operator')),
    ADD CONSTRAINT wallet_transactions_cancel_requested
        CHECK ((cancel_requested_at IS NULL) = (cancel_requested_by IS NULL));
