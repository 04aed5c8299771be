//! Connected accounts and their bank accounts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Around, Id, Owner, Resource, fixture, list_object, random_id, shape};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;
use crate::serial::words::{self, Word};

fixture!(EXAMPLE, "account");
fixture!(BANK_ACCOUNT, "bank_account");

/// The type of an account, which decides who is responsible for its dashboard and requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AccountKind {
    Standard,
    Express,
    Custom,
    /// Created with `controller[…]` in a combination that has no older name.
    None,
}

impl AccountKind {
    /// Returns Stripe's `type`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Express => "express",
            Self::Custom => "custom",
            Self::None => "none",
        }
    }

    const fn dashboard(self) -> &'static str {
        match self {
            Self::Standard => "full",
            Self::Express => "express",
            Self::Custom | Self::None => "none",
        }
    }
}

/// The fate of payouts to a bank account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BankBehaviour {
    /// Payouts are paid.
    Pays,
    /// Payouts fail with this code.
    Fails(#[serde(deserialize_with = "words::one")] Word),
}

/// A bank account that payouts can go to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BankAccount {
    pub(crate) id: String,
    pub(crate) country: String,
    pub(crate) currency: Currency,
    pub(crate) last4: String,
    pub(crate) routing_number: String,
    pub(crate) holder: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) behaviour: BankBehaviour,
    /// Set after a failed payout: no further payouts until it is replaced or a test repairs it.
    pub(crate) errored: bool,
}

impl BankAccount {
    /// Returns a bank account with the last four digits of Stripe's test account.
    pub(crate) fn test(country: &str, currency: Currency) -> Self {
        Self {
            id: random_id("ba_"),
            country: country.to_owned(),
            currency,
            last4: "6789".to_owned(),
            routing_number: "110000000".to_owned(),
            holder: None,
            metadata: Metadata::new(),
            behaviour: BankBehaviour::Pays,
            errored: false,
        }
    }

    /// Renders Stripe's JSON of it.
    pub(crate) fn render(&self, account: &Id<Account>, default: bool) -> Value {
        shape(
            &BANK_ACCOUNT,
            json!({
                "id": self.id,
                "account": account,
                "account_holder_name": self.holder,
                "account_holder_type": "individual",
                "available_payout_methods": ["standard"],
                "country": self.country,
                "currency": self.currency,
                "default_for_currency": default,
                "last4": self.last4,
                "metadata": self.metadata,
                "routing_number": self.routing_number,
                "status": if self.errored { "errored" } else { "new" },
            }),
        )
    }
}

/// A connected account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: Id<Account>,
    pub(crate) created: Moment,
    pub(crate) kind: AccountKind,
    pub(crate) country: String,
    pub(crate) currency: Currency,
    pub(crate) email: Option<String>,
    pub(crate) business_type: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) charges_enabled: bool,
    pub(crate) payouts_enabled: bool,
    pub(crate) transfers_active: bool,
    pub(crate) details_submitted: bool,
    pub(crate) currently_due: Vec<String>,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) payout_interval: String,
    pub(crate) external_accounts: Vec<BankAccount>,
    pub(crate) deleted: bool,
}

impl Account {
    /// Returns the account as an owner of objects.
    pub(crate) fn as_owner(&self) -> Owner {
        Owner::Connected(self.id.clone())
    }

    /// Returns the bank account that payouts in `currency` go to by default.
    pub(crate) fn default_bank(&self, currency: Currency) -> Option<&BankAccount> {
        self.external_accounts
            .iter()
            .find(|bank| bank.currency == currency)
    }

    /// Returns the external accounts as Stripe's list object.
    pub(crate) fn external_account_list(&self) -> Value {
        let banks = self
            .external_accounts
            .iter()
            .map(|bank| bank.render(&self.id, self.is_default(bank)))
            .collect();
        list_object(
            &format!("/v1/accounts/{}/external_accounts", self.id),
            banks,
            false,
        )
    }

    /// Returns whether payouts in the bank account's currency go there by default.
    pub(crate) fn is_default(&self, bank: &BankAccount) -> bool {
        self.default_bank(bank.currency)
            .is_some_and(|default| default.id == bank.id)
    }

    /// Enables the account once no requirement is due.
    pub(crate) fn reconsider(&mut self) {
        if self.currently_due.is_empty() {
            self.details_submitted = true;
            self.charges_enabled = true;
            self.payouts_enabled = true;
            self.transfers_active = true;
            self.disabled_reason = None;
        }
    }
}

impl Resource for Account {
    const PREFIX: &'static str = "acct_1";
    const NOUN: &'static str = "account";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &Owner::Platform
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn render(&self, _around: &dyn Around) -> Value {
        if self.deleted {
            return json!({ "id": self.id, "object": "account", "deleted": true });
        }
        let capability = |active: bool| if active { "active" } else { "inactive" };
        let requirements = json!({
            "alternatives": [],
            "current_deadline": null,
            "currently_due": self.currently_due,
            "disabled_reason": self.disabled_reason,
            "errors": [],
            "eventually_due": self.currently_due,
            "past_due": self.currently_due,
            "pending_verification": [],
        });
        let platform_collects = self.kind == AccountKind::Custom;
        let mut account = shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "business_type": self.business_type,
                "capabilities": {
                    "card_payments": capability(self.charges_enabled),
                    "transfers": capability(self.transfers_active),
                },
                "charges_enabled": self.charges_enabled,
                "controller": {
                    "fees": { "payer": "application" },
                    "is_controller": true,
                    "losses": { "payments": "application" },
                    "requirement_collection": if platform_collects { "application" } else { "stripe" },
                    "stripe_dashboard": { "type": self.kind.dashboard() },
                    "type": "application",
                },
                "country": self.country,
                "default_currency": self.currency,
                "details_submitted": self.details_submitted,
                "email": self.email,
                "external_accounts": self.external_account_list(),
                "metadata": self.metadata,
                "payouts_enabled": self.payouts_enabled,
                "requirements": requirements,
                "type": self.kind.name(),
            }),
        );
        if let Some(schedule) = account.pointer_mut("/settings/payouts/schedule/interval") {
            *schedule = json!(self.payout_interval);
        }
        account
    }
}
