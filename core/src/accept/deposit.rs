//! Accepting a deposit into the caller's wallet.

use crate::db::in_transaction;
use serde::Serialize;
use serde_json::Value;

use super::idempotency::{self, Fingerprint, IdempotencyKey, KeyUse, Subject};
use super::{AcceptError, Acceptor, Caller, checks, text};
use crate::ids::TransactionId;
use crate::ids::stripe::PaymentMethodId;
use crate::jobs::JobKind;
use crate::money::{AmountError, Money};
use crate::stripe::MethodChoice;
use crate::transactions::{Flow, PaymentMethod, Transaction};

/// A client's request for a deposit.
#[derive(Debug, Clone, Serialize)]
pub struct DepositInput {
    /// The amount in major units, as written by the client.
    pub amount: String,
    /// The payment method.
    #[serde(serialize_with = "label")]
    pub payment_method: PaymentMethod,
    /// `pm_…` with which the server confirms off session; without it, the client confirms with the client secret.
    pub stripe_payment_method_id: Option<String>,
    /// Details about the sender; stored sealed.
    pub sender_details: Option<Value>,
    /// The client's own description.
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
    /// Accepts a deposit into `wallet`.
    ///
    /// # Errors
    /// Any [`AcceptError`]; nothing is stored in that case.
    pub async fn deposit(
        &self,
        caller: &Caller,
        wallet: &str,
        input: &DepositInput,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction, AcceptError> {
        let wallet_id = checks::wallet_id(wallet)?;
        text::description(input.description.as_deref())?;
        text::reference(input.reference.as_deref())?;
        text::object("metadata", input.metadata.as_ref())?;
        text::object("senderDetails", input.sender_details.as_ref())?;
        let payment_method: Option<PaymentMethodId> = checks::stripe_id(
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
        let digester = self.digester().await?;
        let accepted = in_transaction!(self.db, conn => {
            let who_may = "only the owner of a wallet may deposit into it";
            let wallet = checks::own_wallet(conn, caller, wallet_id, who_may).await?;
            let amount = checks::amount(&input.amount, wallet.currency())?;
            let normal = DepositInput { amount: amount.to_string(), ..input.clone() };
            let fingerprint = Fingerprint::of(&digester, "deposit", &(wallet_id, normal));
            let subject = Subject::Transaction(id);
            if let KeyUse::Repeated(subject) =
                idempotency::take(conn, caller.user_id, key, &fingerprint, subject, self.clock.now()).await?
            {
                return Self::repeated(conn, subject).await;
            }
            checks::active(&wallet)?;
            if !self.settlement_currencies.offer(amount.currency()) {
                let fix = format!("must be of a wallet in {}: this platform is paid in no other currency", self.settlement_currencies);
                return Err(AcceptError::validation("walletId", fix));
            }
            if let Some(new) = amount.currency().replaced_by() {
                let fix = format!("must be of a wallet in {new}, which has replaced {}", amount.currency());
                return Err(AcceptError::validation("walletId", fix));
            }
            chargeable(amount, input.payment_method)?;
            checks::room_for_payment(conn, &wallet, &self.limits).await?;
            let mut new = self.pending(id, Flow::Deposit, &wallet, amount);
            new.payment_method = Some(input.payment_method);
            new.stripe_payment_method_id.clone_from(&payment_method);
            new.encrypted_sender_details.clone_from(&sender_details);
            new.description.clone_from(&input.description);
            new.reference.clone_from(&input.reference);
            new.metadata.clone_from(&input.metadata);
            Ok(self.write(conn, caller, &new, JobKind::DepositIntent).await?)
        })?;
        Ok(self.dispatched(accepted).await)
    }
}

/// Refuses what Stripe would refuse to charge; the error names the fix.
fn chargeable(amount: Money, method: PaymentMethod) -> Result<(), AcceptError> {
    let currency = amount.currency();
    let wrong = |error| AcceptError::validation("amount", AmountError::from(error).to_string());
    let minor = amount.minor().map_err(wrong)?;
    if minor < currency.minimum_charge_minor() {
        let least = Money::from_minor(currency.minimum_charge_minor(), currency).map_err(wrong)?;
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
    if !MethodChoice::from(method).available_for(currency) {
        return Err(AcceptError::validation(
            "paymentMethod",
            format!(
                "must be another one: {currency} is not paid by {}",
                method.as_str().to_uppercase()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(amount: &str, currency: &str, method: PaymentMethod) -> Option<String> {
        let amount = crate::money::parse_amount(amount, currency.parse().unwrap()).unwrap();
        chargeable(amount, method).err().map(|error| error.to_string())
    }

    #[test]
    fn a_bank_transfer_is_accepted_in_the_currencies_that_stripe_debits_banks_in() {
        let bank = PaymentMethod::BankTransfer;
        for currency in ["usd", "eur", "gbp", "cad", "aud"] {
            assert_eq!(refused("50.00", currency, bank), None, "{currency}");
        }
        for currency in ["nzd", "chf"] {
            let told = refused("50.00", currency, bank).expect(currency);
            assert!(told.starts_with("paymentMethod must be another one: "), "{told}");
        }
        assert_eq!(refused("50.00", "nzd", PaymentMethod::CreditCard), None);
    }

    #[test]
    fn a_refusal_names_its_field_once() {
        for (amount, currency, told) in [
            ("0.10", "usd", "amount is below the smallest deposit of 0.50 usd"),
            (
                "1000000.00",
                "usd",
                "amount is above what can be charged at once; split it",
            ),
        ] {
            assert_eq!(
                refused(amount, currency, PaymentMethod::Stripe).as_deref(),
                Some(told)
            );
        }
    }
}
