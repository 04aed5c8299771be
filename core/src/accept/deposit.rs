//! Accepting a deposit into the caller's wallet.

use crate::db::in_transaction;
use serde::Serialize;
use serde_json::Value;

use super::idempotency::{self, Fingerprint, IdempotencyKey, KeyUse, Subject};
use super::{AcceptError, Accepted, Acceptor, Caller, checks, text};
use crate::flows::Flow;
use crate::ids::TransactionId;
use crate::jobs::JobKind;
use crate::money::{Currency, Money};
use crate::transactions::{PaymentMethod, SealedDetails};

/// What a client asks for.
#[derive(Debug, Clone, Serialize)]
pub struct DepositInput {
    /// Major units, as written by the client.
    pub amount: String,
    /// How it is paid.
    #[serde(serialize_with = "label")]
    pub payment_method: PaymentMethod,
    /// `pm_…`: confirm on the server, off session; without it the client confirms with the client secret.
    pub stripe_payment_method_id: Option<String>,
    /// About the sender; sealed.
    pub sender_details: Option<Value>,
    /// The client's own words.
    pub description: Option<String>,
    /// The client's own reference.
    pub reference: Option<String>,
    /// The client's own data.
    pub metadata: Option<Value>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn label<S: serde::Serializer>(method: &PaymentMethod, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

impl Acceptor {
    /// Accepts a deposit into `wallet`. `hand_over`: the caller pushes the new job to Redis itself.
    ///
    /// # Errors
    /// Every reason of [`AcceptError`]; nothing is stored then.
    pub async fn deposit(
        &self,
        caller: &Caller,
        wallet: &str,
        input: &DepositInput,
        key: Option<&IdempotencyKey>,
        hand_over: bool,
    ) -> Result<Accepted, AcceptError> {
        let wallet_id = checks::wallet_id(wallet)?;
        text::description(input.description.as_deref())?;
        text::reference(input.reference.as_deref())?;
        text::object("metadata", input.metadata.as_ref())?;
        text::object("senderDetails", input.sender_details.as_ref())?;
        checks::stripe_id(
            "stripePaymentMethodId",
            input.stripe_payment_method_id.as_deref(),
            &["pm_", "card_", "ba_"],
        )?;
        let id = TransactionId::from_uuid(self.ids.next());
        let details = input.sender_details.as_ref().map(Value::to_string);
        let sender_details = self
            .seal(
                "wallet_transactions",
                "encrypted_sender_details",
                id.uuid(),
                caller.user_id,
                details,
            )
            .await?;
        let sealed = SealedDetails {
            sender_details,
            ..SealedDetails::default()
        };
        in_transaction!(self.db, conn => {
            let wallet = checks::own_wallet(conn, caller, wallet_id).await?;
            let amount = checks::amount(&input.amount, wallet.currency())?;
            let normal = DepositInput { amount: amount.to_string(), ..input.clone() };
            let fingerprint = Fingerprint::of("deposit", &(wallet_id, normal));
            let subject = Subject::Transaction(id);
            if let KeyUse::Repeated(subject) =
                idempotency::take(conn, caller.user_id, key, &fingerprint, subject, self.clock.now()).await?
            {
                return Self::repeated(conn, subject).await;
            }
            checks::active(&wallet)?;
            chargeable(amount, input.payment_method)?;
            let mut new = self.pending(id, Flow::Deposit, &wallet, amount);
            new.payment_method = Some(input.payment_method);
            new.stripe_payment_method_id.clone_from(&input.stripe_payment_method_id);
            new.description.clone_from(&input.description);
            new.reference.clone_from(&input.reference);
            new.metadata.clone_from(&input.metadata);
            Ok(self.write(conn, caller, &new, &sealed, JobKind::DepositIntent, hand_over).await?)
        })
    }
}

/// What Stripe would refuse is refused here, with the mend.
fn chargeable(amount: Money, method: PaymentMethod) -> Result<(), AcceptError> {
    let currency = amount.currency();
    let minor = amount
        .minor()
        .map_err(|error| AcceptError::validation("amount", error.to_string()))?;
    if minor < currency.minimum_charge_minor() {
        let least = Money::from_minor(currency.minimum_charge_minor(), currency)
            .map_err(|error| AcceptError::validation("amount", error.to_string()))?;
        return Err(AcceptError::validation(
            "amount",
            format!("is below the smallest deposit of {least}"),
        ));
    }
    // Stripe charges at most eight digits: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
    if minor > 99_999_999 {
        return Err(AcceptError::validation(
            "amount",
            "is above what can be charged at once; split it",
        ));
    }
    if currency.whole_units_only() && !amount.amount().fract().is_zero() {
        return Err(AcceptError::validation(
            "amount",
            format!("must be whole {currency}"),
        ));
    }
    if method == PaymentMethod::BankTransfer && !has_bank_debit(currency) {
        return Err(AcceptError::validation(
            "paymentMethod",
            format!("BANK_TRANSFER is not available in {currency}"),
        ));
    }
    Ok(())
}

/// Currencies with a bank debit at Stripe: <https://docs.stripe.com/payments/bank-debits>.
fn has_bank_debit(currency: Currency) -> bool {
    matches!(currency.code(), "usd" | "eur" | "gbp" | "cad" | "aud" | "nzd")
}
