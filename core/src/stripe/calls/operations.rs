//! The creating calls, each tied to its parameters, its object and its name in the key.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::find::{self, Found};
use crate::db::types::column_of;
use crate::ids::UserId;
use crate::stripe::breaker::Lane;
use crate::stripe::client::StripeClient;
use crate::stripe::errors::StripeError;
use crate::stripe::params::{
    CreateAccount, CreateCustomer, CreatePaymentIntent, CreatePayout, CreateRefund, CreateReversal,
    CreateTransfer,
};
use crate::stripe::ticket::Ticket;
use crate::stripe::types::{
    Account, Customer, PaymentIntent, Payout, Refund, Reversal, StripeObject, Transfer,
};

/// What a creating call makes: the first part of its key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray,
)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// A customer, one per person. Customers cannot be looked up; one made twice does no harm.
    Customer,
    /// The payment intent of a deposit.
    PaymentIntent,
    /// The transfer of a withdrawal to the connected account.
    Transfer,
    /// The payout of a withdrawal to the bank.
    Payout,
    /// Taking the transfer of a withdrawal back.
    Reversal,
    /// The refund of a deposit.
    Refund,
    /// A connected account, one per person. Accounts cannot be looked up; one made twice stays empty.
    Account,
}

column_of!(Operation, Text);

impl Operation {
    /// Whether money leaves by it, so that the switch of [`crate::money_out`] holds it back.
    #[must_use]
    pub const fn sends_money_out(self) -> bool {
        match self {
            Self::Transfer | Self::Payout | Self::Refund => true,
            Self::Customer | Self::PaymentIntent | Self::Reversal | Self::Account => false,
        }
    }

    /// Whether it moves money where only we can have made it: an object that names its subject is then what a lost call has made. A payout takes money
    /// from the account of a person, who can make one that looks the same.
    #[must_use]
    pub(super) const fn is_only_ours(self) -> bool {
        matches!(self, Self::PaymentIntent | Self::Transfer | Self::Refund)
    }

    /// Whether it is for active wallets only. What takes money back for a wallet is not.
    #[must_use]
    pub const fn needs_active_wallet(self) -> bool {
        match self {
            Self::PaymentIntent | Self::Transfer | Self::Payout | Self::Refund => true,
            Self::Customer | Self::Reversal | Self::Account => false,
        }
    }

    /// Whether Stripe can be asked for what it has made: not for customers and accounts. One made twice moves no money.
    #[must_use]
    pub(super) const fn can_be_found(self) -> bool {
        !matches!(self, Self::Customer | Self::Account)
    }

    /// The lane whose breaker guards it.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Customer | Self::PaymentIntent | Self::Refund => Lane::Deposits,
            Self::Transfer | Self::Payout | Self::Reversal => Lane::Withdrawals,
            Self::Account => Lane::Onboarding,
        }
    }
}

/// Parameters that know which call they are for.
#[async_trait]
pub trait StripeCall: Serialize + DeserializeOwned + Send + Sync {
    /// What the call makes.
    const OPERATION: Operation;
    /// The object it brings.
    type Object: StripeObject + Send;

    /// The object at Stripe that the call locks: a second call that touches it meanwhile would be answered with `lock_timeout`
    /// (<https://docs.stripe.com/rate-limits#object-lock-timeouts>). None when it touches no object that others may.
    fn touches(&self) -> Option<String>;

    /// What Stripe has that the call may have made. `since`: where Stripe's list is long, it is read back to then.
    async fn find(&self, client: &StripeClient, since: DateTime<Utc>) -> Result<Vec<Found>, StripeError>;

    /// Sends it once, with this ticket.
    async fn send(&self, client: &StripeClient, ticket: &Ticket) -> Result<Self::Object, StripeError>;
}

macro_rules! stripe_call {
    ($params:ty, $operation:ident, $object:ty, $method:ident, $find:ident, $touches:expr) => {
        #[async_trait]
        impl StripeCall for $params {
            const OPERATION: Operation = Operation::$operation;
            type Object = $object;

            fn touches(&self) -> Option<String> {
                let touches: fn(&$params) -> Option<String> = $touches;
                touches(self)
            }

            async fn find(
                &self,
                client: &StripeClient,
                since: DateTime<Utc>,
            ) -> Result<Vec<Found>, StripeError> {
                find::$find(self, client, since).await
            }

            async fn send(&self, client: &StripeClient, ticket: &Ticket) -> Result<$object, StripeError> {
                client.$method(ticket, self).await
            }
        }
    };
}

stripe_call!(
    CreateCustomer,
    Customer,
    Customer,
    create_customer,
    customer,
    |call| Some(person(call.user_id))
);
stripe_call!(
    CreatePaymentIntent,
    PaymentIntent,
    PaymentIntent,
    create_payment_intent,
    payment_intent,
    |_| None
);
stripe_call!(
    CreateTransfer,
    Transfer,
    Transfer,
    create_transfer,
    transfer,
    |call| Some(call.destination.to_string())
);
stripe_call!(CreatePayout, Payout, Payout, create_payout, payout, |call| Some(
    call.account.to_string()
));
stripe_call!(
    CreateReversal,
    Reversal,
    Reversal,
    create_reversal,
    reversal,
    |call| Some(call.transfer.to_string())
);
stripe_call!(CreateRefund, Refund, Refund, create_refund, refund, |call| Some(
    call.payment_intent.to_string()
));
stripe_call!(CreateAccount, Account, Account, create_account, account, |call| {
    Some(person(call.user_id))
});

/// The person as an object of its own: it has none at Stripe yet, and shall not get two at once.
fn person(user: UserId) -> String {
    format!("user:{user}")
}
