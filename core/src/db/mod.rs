//! PostgreSQL, the only source of truth.
//!
//! A pool of checked connections, whole transactions that are repeated when PostgreSQL asks for it, the schema as diesel sees
//! it, and the migrations. Queries are in the modules of the subjects, often in a file `store`; the API and the workers have none.

mod clock;
mod error;
mod establish;
mod guards;
mod migrate;
mod only;
mod partitions;
mod patience;
mod pool;
pub mod schema;
mod sql;
mod state;
mod transaction;
pub mod types;
mod watch;

pub use clock::{keep_clock, set_clock};
pub use error::DbError;
pub use migrate::{SchemaState, migrate, pending_migrations, revert_all, schema_state};
pub(crate) use only::Only;
pub use partitions::{MONTHS_AHEAD, ensure_partitions, months_ahead};
pub(crate) use patience::{Patience, wait_briefly};
pub(crate) use pool::connect_once;
pub use pool::{Conn, Db, DbOptions, PgConn};
pub use sql::{Sql, sql};
pub use transaction::{AsDbError, Ended, Repeats, end};

#[doc(inline)]
pub use crate::__in_transaction as in_transaction;
