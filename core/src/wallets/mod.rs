//! Wallets: who owns them, what they hold, where they pay out to.

mod activity;
mod row;
mod store;

pub use activity::{Wish, set_active};
pub use row::{Wallet, WalletRow};
pub use store::{
    WalletCount, change_account, count_locked, customer_of, find, find_owned, forget_customer, insert,
    is_active_for, is_paid_elsewhere, load_many, lock, of_user, owners_of, payout_account_changed,
    record_account, record_customer,
};
