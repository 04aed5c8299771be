//! Stripe's money flows as its documentation and other projects' issues describe them: a test for each thing that can happen.
//!
//! What another test shows in full is not repeated:
//!
//! | what | shown by |
//! |---|---|
//! | deposit: `payment_failed` is no end | `deposits::a_deposit_without_a_payment_method_waits_for_the_payer` |
//! | deposit: `canceled` at Stripe | `deposits::an_intent_cancelled_at_stripe_cancels_its_deposit` |
//! | deposit: `amount_received` and currency from Stripe, the intent is our row's | `deposits::money_that_was_not_asked_for_goes_to_suspense_and_to_a_person`, `deposits::money_in_another_currency_goes_to_suspense_in_that_currency`, `deposits::what_metadata_claims_credits_nobody` |
//! | deposit: a bank debit that the bank pays after days | `deposits::a_bank_debit_is_credited_when_the_bank_has_paid` |
//! | deposit: the event comes before our own record of the intent | `webhooks::an_event_that_comes_before_our_own_record_of_its_object_is_understood` |
//! | deposit: key and metadata of the intent | `keys::every_creating_request_carries_the_key_of_its_operation_transaction_and_attempt` |
//! | deposit: the client secret is sealed and never logged | `secrets::the_database_and_redis_hold_no_secret_and_no_personal_detail_in_plain_text` |
//! | refund: failed, and failed after it had succeeded (interledger/testnet #2218, GOV.UK Pay #5593, #5549, gumroad #5779) | `refunds::a_refund_that_is_pending_holds_the_money_until_it_is_final`, `refunds::a_refund_that_fails_after_it_had_succeeded_is_credited_again_once` |
//! | refund: a hundred at once of a payment | `payments::of_a_hundred_refunds_of_sixty_on_a_hundred_one_is_granted` |
//! | refund: recorded before it is sent, one key, looked for before any other try (ai-shifu #2901) | `refunds::a_refund_whose_answer_and_webhooks_are_lost_happens_once_and_is_found`, `stripe_calls`, `keys::a_key_is_stored_before_anything_is_sent_and_outlives_its_process` |
//! | refund: made in the dashboard | `refunds::a_refund_made_in_the_dashboard_is_booked_and_what_is_missing_is_caught_from_later_credits` |
//! | dispute: created, withdrawn, won | `disputes::a_dispute_that_is_won_gives_back_what_was_frozen_and_forgives_the_rest` |
//! | dispute: lost, its loss and fee | `disputes::a_dispute_that_is_lost_takes_what_was_frozen_and_later_credits_pay_the_rest` |
//! | dispute: `funds_reinstated` decides nothing (hyperswitch #11653, #11687), several movements (GOV.UK Pay #5011) | `disputes::the_status_decides_and_not_the_name_of_the_event` |
//! | dispute: `warning_…` | `disputes::an_inquiry_freezes_nothing_and_may_be_closed_or_become_a_dispute` |
//! | dispute: of more than was paid (polar #8344) | `disputes::a_dispute_of_more_than_was_paid_is_held_as_it_is_and_told_to_a_person` |
//! | dispute: during a refund during a withdrawal | `disputes::a_dispute_during_a_refund_during_a_withdrawal_leaves_the_sum_right_and_nothing_negative` |
//! | payout `pending → in_transit → paid` | `withdrawals::the_amount_is_held_until_the_bank_has_it` |
//! | payout `failed`, `canceled` | `withdrawals::a_payout_that_fails_brings_the_money_back` |
//! | payout `paid → failed` | `withdrawals::a_payout_that_fails_after_it_was_paid_is_credited_by_a_transaction_of_its_own` |
//! | transfer without available platform balance | `withdrawals::a_withdrawal_waits_while_the_platform_has_no_money_and_ends_when_it_has` |
//! | reversal once, whatever happens to its answer (gumroad #717) | `stripe_calls`, every outcome for `reversals.create` |
//! | below Stripe's minimum payout (gumroad #5150, polar #7101) | `onboarding::less_than_stripe_pays_out_is_not_withdrawn` |
//! | a worker that dies after Stripe has accepted (gumroad #7109) | `signals_alone::a_worker_killed_between_an_effect_and_its_record_is_replaced_without_a_second_effect` |
//! | the account is looked at before it is paid | `withdrawals::an_account_that_may_not_be_paid_is_refused_and_the_hold_released` |
//! | events at least once, copies at the same time (frappe/press #1175) | `webhooks::an_event_delivered_ten_times_at_once_counts_once` |
//! | events in any order | `webhooks::events_in_every_order_come_to_the_same_end` |
//! | signature over raw bytes, tolerance, constant time, two secrets, no empty secret | `bad_inputs::signatures`, `core/src/stripe/signature/tests.rs`, `programs::an_unsafe_environment_stops_the_start_with_one_line_that_names_the_variable_and_the_mend` |
//! | `livemode` | `webhooks::a_signed_event_is_never_refused_whatever_it_says` |
//! | an event of another account | `webhooks::an_event_of_another_account_settles_nobodys_withdrawal` |
//! | stored and answered before it is worked on | `webhooks::a_wave_of_events_is_stored_whole_before_it_is_worked_on` |
//! | unknown types and versions | `webhooks::a_signed_event_is_never_refused_whatever_it_says` |
//! | amount, user and wallet come from our row | `deposits::what_metadata_claims_credits_nobody` |
//! | movements of more kinds than expected (FormSG #6556, formance/payments #618, #625) | `core/src/stripe/client/convert/balance.rs` |
//! | a key has at most 255 characters | `core/src/stripe/ids.rs` |
//! | a stored 500, a key older than 23 hours: look up, never send again | `stripe_calls` |
//! | 402 `card_error`, `authentication_required` | `deposits::a_card_declined_on_the_server_ends_the_deposit_and_its_intent`, `deposits::a_card_that_asks_for_authentication_waits_for_the_payer` |
//! | which answer is of which class | `core/src/stripe/errors/tests.rs` |
//! | calls on one object never overlap (GOV.UK Pay #3052, dj-stripe #1310) | `core/src/stripe/calls/objects/tests.rs` |
//!
//! `source_transaction` is not used: what the platform sends is available on its balance.

mod answers;
mod deposit;
mod dispute;
mod errors;
mod keys;
mod refund;
mod webhooks;
mod withdrawal;

use serde_json::{Value, json};
use wallet_tests::app::id_of;
use wallet_tests::{TestApp, User, eventually};

/// A deposit that waits for its payer, and its intent.
async fn awaiting(app: &TestApp, user: &User, wallet: &str, amount: &str) -> (String, String) {
    let id = id_of(
        &app.deposit(user, wallet, json!({ "amount": amount }))
            .await
            .data(),
    );
    app.at_stage(&id, "awaiting_payment").await;
    let intent = app.stripe_id(&id, "stripe_payment_intent_id").await;
    (id, intent)
}

fn event(id: &str, kind: &str, object: Value) -> Value {
    json!({ "id": id, "object": "event", "type": kind, "livemode": false, "data": { "object": object } })
}

async fn understood(app: &TestApp, id: &str, state: &str) {
    let of = format!("stripe_events WHERE id = '{id}' AND state = '{state}'");
    eventually(&format!("{id} to be {state}"), async || {
        app.db.count(&of).await == 1
    })
    .await;
}
