//! PostgreSQL's enum labels as Rust enums; a test keeps the two sides equal.

use std::io::Write;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};

use crate::transactions::{PaymentMethod, TransactionStatus, TransactionType};

/// The SQL types of the enums.
pub mod sql {
    /// `transaction_type`.
    #[derive(Debug, Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(name = "transaction_type"))]
    pub struct TransactionType;

    /// `transaction_status`.
    #[derive(Debug, Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(name = "transaction_status"))]
    pub struct TransactionStatus;

    /// `payment_method`.
    #[derive(Debug, Clone, Copy, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(name = "payment_method"))]
    pub struct PaymentMethod;
}

macro_rules! pg_enum {
    ($rust:ty, $sql:ty) => {
        impl ToSql<$sql, Pg> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                out.write_all(self.as_str().as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<$sql, Pg> for $rust {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                let label = std::str::from_utf8(value.as_bytes())?;
                Self::from_label(label).ok_or_else(|| format!("unknown label {label:?}").into())
            }
        }
    };
}

pg_enum!(TransactionType, sql::TransactionType);
pg_enum!(TransactionStatus, sql::TransactionStatus);
pg_enum!(PaymentMethod, sql::PaymentMethod);
