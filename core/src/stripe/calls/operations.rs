//! The creating calls, each tied to its parameters, its object and its name in the key.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::stripe::breaker::Lane;
use crate::stripe::errors::GatewayError;
use crate::stripe::gateway::PaymentGateway;
use crate::stripe::ids::IdempotencyKey;
use crate::stripe::params::{
    CreateCustomer, CreatePaymentIntent, CreatePayout, CreateReversal, CreateTransfer,
};
use crate::stripe::types::{Customer, PaymentIntent, Payout, Reversal, StripeObject, Transfer};

/// What a creating call makes: the first part of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A customer, one per person. The port has no look-up of customers; one made twice does no harm.
    Customer,
    /// The payment intent of a deposit.
    PaymentIntent,
    /// The transfer of a withdrawal to the connected account.
    Transfer,
    /// The payout of a withdrawal to the bank.
    Payout,
    /// Taking the transfer of a withdrawal back.
    Reversal,
}

impl Operation {
    /// Its name in keys and in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::PaymentIntent => "payment_intent",
            Self::Transfer => "transfer",
            Self::Payout => "payout",
            Self::Reversal => "reversal",
        }
    }

    /// The lane whose breaker guards it.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Customer | Self::PaymentIntent => Lane::Deposits,
            Self::Transfer | Self::Payout | Self::Reversal => Lane::Withdrawals,
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

    /// Sends it once, under this key.
    async fn send(
        &self,
        gateway: &dyn PaymentGateway,
        key: &IdempotencyKey,
    ) -> Result<Self::Object, GatewayError>;
}

macro_rules! stripe_call {
    ($params:ty, $operation:ident, $object:ty, $method:ident) => {
        #[async_trait]
        impl StripeCall for $params {
            const OPERATION: Operation = Operation::$operation;
            type Object = $object;

            async fn send(
                &self,
                gateway: &dyn PaymentGateway,
                key: &IdempotencyKey,
            ) -> Result<$object, GatewayError> {
                gateway.$method(key, self).await
            }
        }
    };
}

stripe_call!(CreateCustomer, Customer, Customer, create_customer);
stripe_call!(
    CreatePaymentIntent,
    PaymentIntent,
    PaymentIntent,
    create_payment_intent
);
stripe_call!(CreateTransfer, Transfer, Transfer, create_transfer);
stripe_call!(CreatePayout, Payout, Payout, create_payout);
stripe_call!(CreateReversal, Reversal, Reversal, create_reversal);
