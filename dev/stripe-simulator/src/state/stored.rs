//! The tables of the state: where each type of object is stored; finding, changing and listing objects, and their JSON.

use serde_json::Value;

use super::State;
use crate::errors::ApiError;
use crate::form::Params;
use crate::list::{Page, Table};
use crate::objects::{
    Account, Around, BalanceTransaction, Charge, Customer, Dispute, Event, Group, GroupBy, Id, Owner,
    PaymentIntent, PaymentMethod, Payout, Refund, Resource, Reversal, Transfer, group, list_object,
};

/// An object that has a table in the state.
pub(crate) trait Stored: Resource {
    /// Returns the table of its objects.
    fn table(state: &State) -> &Table<Self>;
    /// Returns the table of its objects, to change it.
    fn table_mut(state: &mut State) -> &mut Table<Self>;
}

macro_rules! stored {
    ($($object:ty: $table:ident,)+) => {
        $(impl Stored for $object {
            fn table(state: &State) -> &Table<Self> {
                &state.$table
            }

            fn table_mut(state: &mut State) -> &mut Table<Self> {
                &mut state.$table
            }
        })+
    };
}

stored! {
    Customer: customers,
    PaymentMethod: payment_methods,
    PaymentIntent: payment_intents,
    Charge: charges,
    BalanceTransaction: balance_transactions,
    Account: accounts,
    Transfer: transfers,
    Reversal: reversals,
    Payout: payouts,
    Refund: refunds,
    Dispute: disputes,
    Event: events,
}

impl Around for State {
    fn names_failure_movements(&self) -> bool {
        self.settings.names_failure_movements
    }

    fn charge(&self, id: &Id<Charge>) -> Option<&Charge> {
        self.charges.get(id.as_str())
    }

    fn movement(&self, id: &Id<BalanceTransaction>) -> Value {
        self.rendered(id)
    }

    fn latest_reversals(&self, of: &Id<Transfer>, most: usize) -> Vec<Value> {
        let own = group(GroupBy::Transfer, of);
        let latest = self.reversals.members(&own).rev().take(most);
        latest.map(|reversal| reversal.render(self)).collect()
    }
}

impl State {
    /// Returns the object with this id that belongs to `owner`.
    pub(crate) fn owned<T: Stored>(&self, owner: &Owner, id: &str) -> Option<&T> {
        T::table(self).get(id).filter(|row| row.owner() == owner)
    }

    /// Returns the object that a path names.
    ///
    /// # Errors
    /// 404 `resource_missing`.
    pub(crate) fn find<T: Stored>(&self, owner: &Owner, id: &str) -> Result<&T, ApiError> {
        self.owned(owner, id)
            .ok_or_else(|| ApiError::not_found(T::NOUN, id))
    }

    /// Returns the object that a parameter names.
    ///
    /// # Errors
    /// 400 `resource_missing`.
    pub(crate) fn find_param<T: Stored>(&self, owner: &Owner, id: &str, param: &str) -> Result<&T, ApiError> {
        self.owned(owner, id)
            .ok_or_else(|| ApiError::no_such(T::NOUN, id, param))
    }

    /// Changes an object that is known to exist.
    pub(crate) fn change<T: Stored>(&mut self, id: &Id<T>, change: impl FnOnce(&mut T)) {
        if let Some(row) = T::table_mut(self).get_mut(id.as_str()) {
            change(row);
        }
    }

    /// Renders Stripe's JSON of an object; null if there is none.
    pub(crate) fn rendered<T: Stored>(&self, id: &Id<T>) -> Value {
        T::table(self)
            .get(id.as_str())
            .map_or(Value::Null, |row| row.render(self))
    }

    /// Returns Stripe's list object with one page of a group.
    ///
    /// # Errors
    /// When paging parameters are malformed.
    pub(crate) fn list<T: Stored>(
        &self,
        owner: &Owner,
        params: &Params,
        url: &str,
        by: Option<Group>,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Value, ApiError> {
        let page = Page::from_params(params)?;
        let by = by.unwrap_or_else(|| group(GroupBy::Owner, owner.key()));
        let (rows, more) = page.pick(T::table(self), &by, |row: &T| row.owner() == owner && keep(row))?;
        Ok(list_object(
            url,
            rows.into_iter().map(|row| row.render(self)).collect(),
            more,
        ))
    }

    /// Renders Stripe's JSON of the object with this id, whose type its prefix shows; for `expand`.
    pub(crate) fn render_any(&self, owner: &Owner, id: &str) -> Option<Value> {
        fn one<T: Stored>(state: &State, owner: &Owner, id: &str) -> Option<Value> {
            state.owned::<T>(owner, id).map(|row| row.render(state))
        }
        let prefix = id.split('_').next()?;
        match prefix {
            "cus" => one::<Customer>(self, owner, id),
            "pm" => one::<PaymentMethod>(self, owner, id),
            "pi" => one::<PaymentIntent>(self, owner, id),
            "ch" | "py" => self.charges.get(id).map(|charge| charge.render(self)),
            "txn" => one::<BalanceTransaction>(self, owner, id),
            "acct" => one::<Account>(self, &Owner::Platform, id),
            "tr" => one::<Transfer>(self, owner, id),
            "trr" => one::<Reversal>(self, owner, id),
            "po" => one::<Payout>(self, owner, id),
            "re" => one::<Refund>(self, owner, id),
            "du" => one::<Dispute>(self, owner, id),
            _ => None,
        }
    }
}
