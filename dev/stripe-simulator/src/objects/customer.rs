//! Customers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Around, Id, Owner, PaymentMethod, Resource, fixture, shape};
use crate::clock::Moment;
use crate::form::Metadata;
use crate::serial::words::{self, Word};

fixture!(EXAMPLE, "customer");

/// A payer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: Id<Customer>,
    pub(crate) owner: Owner,
    pub(crate) created: Moment,
    /// `email`, `name`, `phone` and `description`, if given.
    #[serde(deserialize_with = "words::keyed")]
    pub(crate) details: BTreeMap<Word, String>,
    pub(crate) metadata: Metadata,
    pub(crate) default_payment_method: Option<Id<PaymentMethod>>,
    pub(crate) deleted: bool,
}

impl Resource for Customer {
    const PREFIX: &'static str = "cus_";
    const NOUN: &'static str = "customer";

    fn id(&self) -> &Id<Self> {
        &self.id
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn created(&self) -> Moment {
        self.created
    }

    fn render(&self, _around: &dyn Around) -> Value {
        if self.deleted {
            return json!({ "id": self.id, "object": "customer", "deleted": true });
        }
        let mut fields = json!({
            "id": self.id,
            "created": self.created.seconds(),
            "metadata": self.metadata,
            "invoice_prefix": self.id.as_str().chars().rev().take(8).collect::<String>().to_uppercase(),
            "invoice_settings": {
                "custom_fields": null,
                "default_payment_method": self.default_payment_method,
                "footer": null,
                "rendering_options": null,
            },
        });
        if let Value::Object(fields) = &mut fields {
            fields.extend(
                self.details
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), json!(value))),
            );
        }
        shape(&EXAMPLE, fields)
    }
}
