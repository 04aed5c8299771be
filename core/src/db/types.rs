//! The SQL types of PostgreSQL's enums, and how Rust enums map to columns; a test keeps the two sides equal.

use diesel::query_builder::QueryId;
use diesel::sql_types::SqlType;

/// `transaction_type`.
#[derive(Debug, Clone, Copy)]
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(name = "transaction_type"))]
pub struct TransactionType;

/// `transaction_status`.
#[derive(Debug, Clone, Copy)]
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(name = "transaction_status"))]
pub struct TransactionStatus;

/// `payment_method`.
#[derive(Debug, Clone, Copy)]
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(name = "payment_method"))]
pub struct PaymentMethod;

/// Makes an enum, whose words are derived by strum, a column of this SQL type, with methods for its values and their words.
macro_rules! column_of {
    ($rust:ty, $sql:ty) => {
        impl $rust {
            /// Every value.
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

            /// The value's word, the same in SQL and everywhere else.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }

        impl diesel::serialize::ToSql<$sql, diesel::pg::Pg> for $rust {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                std::io::Write::write_all(out, <&str>::from(*self).as_bytes())?;
                Ok(diesel::serialize::IsNull::No)
            }
        }

        impl diesel::deserialize::FromSql<$sql, diesel::pg::Pg> for $rust {
            fn from_sql(value: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                let label = std::str::from_utf8(value.as_bytes())?;
                label
                    .parse()
                    .map_err(|_| format!("unknown label {label:?}").into())
            }
        }
    };
}

pub(crate) use column_of;
