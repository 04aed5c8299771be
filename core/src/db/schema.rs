//! The tables as diesel sees them; a test compares them with the migrated database.
#![expect(
    missing_docs,
    reason = "diesel's macro makes the items; the migrations document the columns"
)]

diesel::table! {
    wallets (id) {
        id -> Uuid,
        user_id -> Uuid,
        currency -> Varchar,
        balance -> Numeric,
        frozen_balance -> Numeric,
        stripe_customer_id -> Nullable<Varchar>,
        stripe_account_id -> Nullable<Varchar>,
        encrypted_bank_details -> Nullable<Text>,
        is_active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        owed_balance -> Numeric,
        payout_account_changed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    fee_rules (id) {
        id -> Int8,
        currency -> Nullable<Varchar>,
        payee_user_id -> Nullable<Uuid>,
        basis_points -> Int4,
        minimum -> Nullable<Numeric>,
        maximum -> Nullable<Numeric>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    stripe_accounts (stripe_account_id) {
        stripe_account_id -> Varchar,
        user_id -> Uuid,
        payouts_enabled -> Bool,
        disabled_reason -> Nullable<Text>,
        paid_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        bank_currencies -> Nullable<Array<Text>>,
    }
}

diesel::table! {
    stripe_event_cursors (account) {
        account -> Varchar,
        read_until -> Nullable<Timestamptz>,
        asked_at -> Timestamptz,
    }
}

diesel::table! {
    call_budgets (name) {
        name -> Varchar,
        tokens -> Float8,
        refilled_at -> Timestamptz,
    }
}

diesel::table! {
    stripe_customers (user_id) {
        user_id -> Uuid,
        stripe_customer_id -> Varchar,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::db::types::{PaymentMethod, TransactionStatus, TransactionType};

    wallet_transactions (id) {
        id -> Uuid,
        wallet_id -> Uuid,
        user_id -> Uuid,
        transaction_type -> TransactionType,
        status -> TransactionStatus,
        stage -> Varchar,
        amount -> Numeric,
        fee -> Nullable<Numeric>,
        currency -> Varchar,
        reference -> Nullable<Varchar>,
        counterparty_wallet_id -> Nullable<Uuid>,
        related_transaction_id -> Nullable<Uuid>,
        stripe_payment_intent_id -> Nullable<Varchar>,
        stripe_transfer_id -> Nullable<Varchar>,
        stripe_payout_id -> Nullable<Varchar>,
        stripe_account_id -> Nullable<Varchar>,
        stripe_payment_method_id -> Nullable<Varchar>,
        encrypted_client_secret -> Nullable<Text>,
        encrypted_sender_details -> Nullable<Text>,
        encrypted_receiver_details -> Nullable<Text>,
        encrypted_bank_id -> Nullable<Text>,
        encrypted_account_name -> Nullable<Text>,
        payment_method -> Nullable<PaymentMethod>,
        description -> Nullable<Text>,
        metadata -> Nullable<Jsonb>,
        failure_reason -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        flow -> Nullable<Varchar>,
        held_amount -> Nullable<Numeric>,
        stripe_refund_id -> Nullable<Varchar>,
        stripe_dispute_id -> Nullable<Varchar>,
        available_on -> Nullable<Timestamptz>,
        checked_at -> Nullable<Timestamptz>,
        claimed_amount -> Nullable<Numeric>,
        requested_amount -> Nullable<Numeric>,
        cancel_requested_at -> Nullable<Timestamptz>,
        cancel_requested_by -> Nullable<Varchar>,
    }
}

diesel::table! {
    transaction_events (transaction_id, id) {
        transaction_id -> Uuid,
        id -> Uuid,
        kind -> Varchar,
        message -> Text,
        detail -> Nullable<Jsonb>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    external_refs (kind, external_id) {
        kind -> Varchar,
        external_id -> Varchar,
        transaction_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (user_id, key) {
        user_id -> Uuid,
        key -> Varchar,
        fingerprint -> Bytea,
        wallet_id -> Nullable<Uuid>,
        transaction_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    ledger_entries (transaction_id, id) {
        transaction_id -> Uuid,
        id -> Uuid,
        wallet_id -> Nullable<Uuid>,
        account -> Varchar,
        amount -> Numeric,
        currency -> Varchar,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    jobs (id) {
        id -> Int8,
        queue -> Varchar,
        kind -> Varchar,
        transaction_id -> Nullable<Uuid>,
        wallet_ids -> Array<Uuid>,
        payload -> Jsonb,
        unique_key -> Nullable<Varchar>,
        run_at -> Timestamptz,
        handed_over_at -> Nullable<Timestamptz>,
        attempts -> Int4,
        starts -> Int4,
        fence -> Int8,
        lease_owner -> Nullable<Varchar>,
        lease_until -> Nullable<Timestamptz>,
        parked_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
        waits_for -> Nullable<Varchar>,
    }
}

diesel::table! {
    alarms (id) {
        id -> Int8,
        kind -> Varchar,
        subject -> Varchar,
        message -> Text,
        raised_at -> Timestamptz,
        seen -> Int4,
        closed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    stripe_calls (idempotency_key) {
        idempotency_key -> Varchar,
        operation -> Varchar,
        subject_id -> Uuid,
        attempt -> Int4,
        encrypted_params -> Nullable<Text>,
        outcome -> Varchar,
        tries -> Int4,
        first_tried_at -> Nullable<Timestamptz>,
        stripe_object_id -> Nullable<Varchar>,
        stripe_request_id -> Nullable<Varchar>,
        error_code -> Nullable<Varchar>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    stripe_events (id) {
        id -> Varchar,
        account -> Nullable<Varchar>,
        #[sql_name = "type"]
        type_ -> Nullable<Varchar>,
        api_version -> Nullable<Varchar>,
        livemode -> Nullable<Bool>,
        object_id -> Nullable<Varchar>,
        encrypted_body -> Nullable<Text>,
        body_sha256 -> Bytea,
        state -> Varchar,
        note -> Nullable<Text>,
        received_at -> Timestamptz,
        processed_at -> Nullable<Timestamptz>,
        source -> Varchar,
    }
}

diesel::table! {
    user_keys (user_id) {
        user_id -> Uuid,
        key_id -> Uuid,
        wrapping_key -> Varchar,
        wrapped_key -> Nullable<Text>,
        created_at -> Timestamptz,
        rewrapped_at -> Nullable<Timestamptz>,
        destroyed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    revoked_sessions (session_id) {
        session_id -> Varchar,
        user_id -> Uuid,
        revoked_at -> Timestamptz,
    }
}

diesel::table! {
    audit_log (id) {
        id -> Int8,
        at -> Timestamptz,
        actor -> Varchar,
        action -> Varchar,
        request_id -> Nullable<Varchar>,
        transaction_ids -> Array<Uuid>,
        wallet_ids -> Array<Uuid>,
        detail -> Jsonb,
    }
}

diesel::table! {
    verifications (name) {
        name -> Varchar,
        asked_at -> Timestamptz,
        done_at -> Nullable<Timestamptz>,
        audit_seen -> Nullable<Int8>,
        audit_before -> Nullable<Int8>,
        xid_seen -> Nullable<Int8>,
        xid_before -> Nullable<Int8>,
    }
}

diesel::table! {
    switches (name) {
        name -> Varchar,
        is_open -> Bool,
        reason -> Nullable<Text>,
        changed_by -> Varchar,
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    payout_account_changes (user_id, stripe_account_id) {
        user_id -> Uuid,
        stripe_account_id -> Varchar,
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    platform_movements (id) {
        id -> Varchar,
        kind -> Varchar,
        net -> Numeric,
        currency -> Varchar,
        moved_at -> Timestamptz,
        reason -> Nullable<Text>,
        recorded_by -> Varchar,
        recorded_at -> Timestamptz,
    }
}
