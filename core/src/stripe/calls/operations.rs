//! The creating calls, each tied to its parameters, its object and the name of its operation in the key.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::Text;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::find::{self, Candidate};
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

/// The kind of a creating call: the first part of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[derive(AsExpression, FromSqlRow, EnumString, IntoStaticStr, VariantArray)]
#[diesel(sql_type = Text)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// A customer, one per person. Customers cannot be looked up; a second one does no harm.
    Customer,
    /// The payment intent of a deposit.
    PaymentIntent,
    /// The transfer of a withdrawal to the connected account.
    Transfer,
    /// The payout of a withdrawal to the bank.
    Payout,
    /// The reversal of a withdrawal's transfer.
    Reversal,
    /// The refund of a deposit.
    Refund,
    /// A connected account, one per person. Accounts cannot be looked up; a second one stays empty.
    Account,
}

column_of!(Operation, Text);

impl Operation {
    /// Returns whether it sends money out, so that the switch of [`crate::money_out`] holds it back.
    #[must_use]
    pub const fn sends_money_out(self) -> bool {
        match self {
            Self::Transfer | Self::Payout | Self::Refund => true,
            Self::Customer | Self::PaymentIntent | Self::Reversal | Self::Account => false,
        }
    }

    /// Returns whether it moves money in a way that only we can have started: an object that names its subject was then made by a call whose record
    /// is lost. A payout is different: it takes money from a person's account, and that person can make one that looks the same.
    #[must_use]
    pub(super) const fn is_only_ours(self) -> bool {
        matches!(self, Self::PaymentIntent | Self::Transfer | Self::Refund)
    }

    /// Returns whether it requires an active wallet. A call that takes money back for a wallet does not.
    #[must_use]
    pub const fn needs_active_wallet(self) -> bool {
        match self {
            Self::PaymentIntent | Self::Transfer | Self::Payout | Self::Refund => true,
            Self::Customer | Self::Reversal | Self::Account => false,
        }
    }

    /// Returns whether its objects can be looked up at Stripe: not customers and accounts, of which a second one moves no money.
    #[must_use]
    pub(super) const fn can_be_found(self) -> bool {
        !matches!(self, Self::Customer | Self::Account)
    }

    /// Returns the lane whose breaker guards it.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Customer | Self::PaymentIntent | Self::Refund => Lane::Deposits,
            Self::Transfer | Self::Payout | Self::Reversal => Lane::Withdrawals,
            Self::Account => Lane::Onboarding,
        }
    }
}

/// The parameters of a creating call, which determine its operation and its object.
#[async_trait]
pub trait StripeCall: Serialize + DeserializeOwned + Send + Sync {
    /// The operation of the call.
    const OPERATION: Operation;
    /// The object that the call makes.
    type Object: StripeObject + Send;

    /// Returns the object at Stripe that the call locks: a second call that touches it at the same time would be refused with `lock_timeout`
    /// (<https://docs.stripe.com/rate-limits#object-lock-timeouts>). Returns `None` if it touches no object that other calls may touch.
    fn touches(&self) -> Option<String>;

    /// Returns the objects at Stripe that the call may have made. A long list at Stripe is read back to `since`.
    async fn find(&self, client: &StripeClient, since: DateTime<Utc>) -> Result<Vec<Candidate>, StripeError>;

    /// Sends the call once, with this ticket.
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
            ) -> Result<Vec<Candidate>, StripeError> {
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

/// Returns a key for the person, who has no object at Stripe yet and must not get two at once.
fn person(user: UserId) -> String {
    format!("user:{user}")
}
