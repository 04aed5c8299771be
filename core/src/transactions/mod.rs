//! Wallet transactions: what was asked for, how far it is, and what is told about it.

mod cancel_request;
mod external_ref;
mod flow;
mod given_back;
mod kinds;
mod row;
mod stage;
mod store;
mod timeline;

pub use cancel_request::{CancelRequest, Canceller};
pub use external_ref::{ExternalRef, RefKind, Returned};
pub use flow::Flow;
pub use given_back::{Requests, left_of};
pub use kinds::{PaymentMethod, TransactionStatus, TransactionType};
pub use row::{Transaction, TransactionRow};
pub use stage::Stage;
pub(crate) use store::returns_of;
pub use store::{
    HistoryFilter, HistoryPage, booked_movements, count_quiet, external_refs_of, find, find_by_external_ref,
    find_by_object, find_visible, has_external_refs, has_open_payments, history, insert, is_to_be_cancelled,
    load_many, related_to, request_cancel, sent_after,
};
pub use timeline::{
    MOST_LINES, TimelineEntry, TimelineKind, newest_lines, record, record_waiting, timeline, timelines,
};
pub(crate) use timeline::{NewLine, record_lines};
