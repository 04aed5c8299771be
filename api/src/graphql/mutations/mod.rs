//! The type `Mutation`, one file per mutation. Each is handed to [`wallet_core::accept`] and, once stored, to the workers.

mod call;
mod cancel_transaction;
mod change_payout_account;
mod create_wallet;
mod deposit;
mod freeze_wallet;
mod onboard_payouts;
mod pay;
mod refund;
mod transfer;
mod withdraw;

use async_graphql::MergedObject;

use self::call::Call;

/// The changes that can be requested.
#[derive(Debug, Default, MergedObject)]
pub(crate) struct Mutation(
    create_wallet::CreateWallet,
    deposit::Deposit,
    withdraw::Withdraw,
    transfer::Transfer,
    pay::Pay,
    refund::Refund,
    cancel_transaction::CancelTransaction,
    onboard_payouts::OnboardPayouts,
    change_payout_account::ChangePayoutAccount,
    freeze_wallet::FreezeWallet,
);
