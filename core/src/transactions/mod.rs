//! Wallet transactions: what was requested, how far it is, and what the timeline says about it.

mod advance;
mod cancel_request;
mod external_ref;
mod failure;
mod flow;
mod given_back;
mod kinds;
mod lock;
mod references;
mod row;
mod stage;
mod store;
mod timeline;

pub use advance::Changes;
pub(crate) use advance::{Advance, advance};
pub use cancel_request::{CancelRequest, Canceller};
pub use external_ref::{ExternalRef, RefKind, Returned};
pub use failure::{FailureCode, FailureReason};
pub use flow::Flow;
pub use given_back::{Requests, left_of};
pub use kinds::{PaymentMethod, TransactionStatus, TransactionType};
pub(crate) use lock::{existing, lock, lock_related_to};
pub use references::{
    booked_movements, external_refs_of, find_by_external_ref, find_by_object, has_external_refs,
};
pub(crate) use references::{leading, record_references, take_reference};
pub use row::{Transaction, TransactionRow};
pub use stage::Stage;
pub use store::{
    HistoryFilter, HistoryPage, find, find_visible, has_open_payments, history, insert, is_to_be_cancelled,
    load_many, related_to, request_cancel, sent_after,
};
pub(crate) use store::{returns_of, take_due_for_poll};
pub use timeline::{
    MOST_LINES, TimelineEntry, TimelineKind, newest_lines, record, record_waiting, timeline, timelines,
};
pub(crate) use timeline::{NewLine, record_lines};
