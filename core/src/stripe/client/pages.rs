//! Lists that are read to their end.

use stripe_types::{AsCursorOpt, List, Object};

use super::MOST_PAGES;
use super::convert::{Unfit, ours};
use crate::stripe::errors::{ErrorClass, StripeError};

/// The objects of the pages read so far of one list, newest first.
pub(super) struct Pages<T> {
    objects: Vec<T>,
    cursor: Option<String>,
    read: usize,
    has_more: bool,
}

impl<T> Pages<T> {
    pub(super) fn new() -> Self {
        Self {
            objects: Vec::new(),
            cursor: None,
            read: 0,
            has_more: true,
        }
    }

    /// Returns the cursor of the next page: `Some(None)` for the first page, `None` if there is no further page.
    ///
    /// A list that is too long is an error, not a shorter list: an object missing from it would be taken to be absent.
    pub(super) fn next(&self) -> Result<Option<Option<String>>, StripeError> {
        if !self.has_more {
            return Ok(None);
        }
        if self.read >= MOST_PAGES {
            tracing::error!(pages = self.read, "a list of stripe is too long to look through");
            return Err(StripeError::new(ErrorClass::Unknown));
        }
        Ok(Some(self.cursor.clone()))
    }

    /// Adds a page.
    pub(super) fn take<S: Object>(
        &mut self,
        page: List<S>,
        convert: impl Fn(S) -> Result<T, Unfit>,
    ) -> Result<(), StripeError> {
        self.read += 1;
        self.cursor = page
            .data
            .last()
            .and_then(|object| object.id().as_cursor_opt())
            .map(ToOwned::to_owned);
        // Without a cursor the next request would return the first page again.
        self.has_more = page.has_more && self.cursor.is_some();
        self.objects.extend(ours(page.data, convert)?);
        Ok(())
    }

    pub(super) fn into_objects(self) -> Vec<T> {
        self.objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_never_ends_is_an_error_and_not_a_shorter_list() {
        let mut pages: Pages<()> = Pages::new();
        assert_eq!(pages.next().unwrap(), Some(None));
        pages.read = MOST_PAGES;
        assert!(pages.next().is_err());
        pages.has_more = false;
        assert_eq!(pages.next().unwrap(), None);
    }
}
