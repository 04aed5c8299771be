//! Transfers from the platform to connected accounts, and their reversals.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Account, Around, BalanceTransaction, Charge, Group, GroupBy, Id, Owner, Resource, fixture, group,
    list_object, shape,
};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::money::Currency;

fixture!(EXAMPLE, "transfer");
fixture!(REVERSAL, "transfer_reversal");

/// Money moved to a connected account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) id: Id<Transfer>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) amount: i64,
    pub(crate) amount_reversed: i64,
    pub(crate) currency: Currency,
    pub(crate) destination: Id<Account>,
    pub(crate) destination_payment: Id<Charge>,
    pub(crate) balance_transaction: Id<BalanceTransaction>,
    pub(crate) source_transaction: Option<Id<Charge>>,
    pub(crate) description: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Resource for Transfer {
    const PREFIX: &'static str = "tr_";
    const NOUN: &'static str = "transfer";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn groups(&self) -> Vec<Group> {
        let by_group = self
            .transfer_group
            .iter()
            .map(|name| group(GroupBy::TransferGroup, name));
        by_group
            .chain([group(GroupBy::Destination, &self.destination)])
            .collect()
    }

    fn render(&self, around: &dyn Around) -> Value {
        let url = format!("/v1/transfers/{}/reversals", self.id);
        shape(
            &EXAMPLE,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "amount": self.amount,
                "amount_reversed": self.amount_reversed,
                "balance_transaction": self.balance_transaction,
                "currency": self.currency,
                "description": self.description,
                "destination": self.destination,
                "destination_payment": self.destination_payment,
                "metadata": self.metadata,
                "reversals": list_object(&url, around.latest_reversals(&self.id, 10), false),
                "reversed": self.amount_reversed == self.amount,
                "source_transaction": self.source_transaction,
                "transfer_group": self.transfer_group,
            }),
        )
    }
}

/// Money of a transfer that was reversed from a connected account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reversal {
    pub(crate) id: Id<Reversal>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) transfer: Id<Transfer>,
    pub(crate) balance_transaction: Id<BalanceTransaction>,
    pub(crate) metadata: Metadata,
}

impl Resource for Reversal {
    const PREFIX: &'static str = "trr_";
    const NOUN: &'static str = "transfer reversal";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn groups(&self) -> Vec<Group> {
        vec![group(GroupBy::Transfer, &self.transfer)]
    }

    fn render(&self, _around: &dyn Around) -> Value {
        shape(
            &REVERSAL,
            json!({
                "id": self.id,
                "created": self.created.seconds(),
                "amount": self.amount,
                "balance_transaction": self.balance_transaction,
                "currency": self.currency,
                "metadata": self.metadata,
                "transfer": self.transfer,
            }),
        )
    }
}
