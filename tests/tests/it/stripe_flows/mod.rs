//! Stripe's money flows as its documentation and other people's issues tell them: a test for each thing that can happen.
//!
//! What another test shows in full is not repeated:
//!
//! | what | shown by |
//! |---|---|
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
//! | movements of more kinds than expected (FormSG #6556, formance/payments #618, #625) | `core/src/stripe/adapter/convert/balance.rs` |
//! | a key has at most 255 characters | `core/src/stripe/ids.rs` |
//! | a stored 500, a key older than 23 hours: look up, never send again | `stripe_calls` |
//! | 402 `card_error`, `authentication_required` | `deposits::a_card_declined_on_the_server_ends_the_deposit_and_its_intent`, `deposits::a_card_that_asks_for_authentication_waits_for_the_payer` |
//! | which answer is of which class | `core/src/stripe/errors/tests.rs` |
//! | calls on one object never overlap (GOV.UK Pay #3052, dj-stripe #1310) | `core/src/stripe/calls/objects/tests.rs` |
//!
//! `source_transaction` is not used: what the platform sends is available on its balance.

mod errors;
mod keys;
mod webhooks;
mod withdrawal;
