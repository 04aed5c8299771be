//! Tables of objects in order of creation, which can be listed by groups, and Stripe's cursor paging (newest first).

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::errors::ApiError;
use crate::form::Params;
use crate::objects::{Group, GroupBy, Resource, group};

/// All objects of one type in order of creation. Objects are never removed.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    by_id: HashMap<Arc<str>, usize>,
    groups: HashMap<Group, Vec<usize>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            by_id: HashMap::new(),
            groups: HashMap::new(),
        }
    }
}

/// Writes the rows alone, from which everything else is rebuilt.
impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de, T: Resource + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        for row in Vec::<T>::deserialize(deserializer)? {
            table.insert(row);
        }
        Ok(table)
    }
}

impl<T: Resource> Table<T> {
    /// Adds an object.
    pub(crate) fn insert(&mut self, row: T) {
        let index = self.rows.len();
        self.by_id.insert(row.id().shared(), index);
        self.groups
            .entry(group(GroupBy::Owner, row.owner().key()))
            .or_default()
            .push(index);
        for group in row.groups() {
            self.groups.entry(group).or_default().push(index);
        }
        self.rows.push(row);
    }

    /// Adds an existing object to another group, after it changed.
    pub(crate) fn join(&mut self, id: &str, group: Group) {
        let Some(&index) = self.by_id.get(id) else { return };
        let members = self.groups.entry(group).or_default();
        if let Err(place) = members.binary_search(&index) {
            members.insert(place, index);
        }
    }

    /// Returns the object with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(*self.by_id.get(id)?)
    }

    /// Returns the object with this id, to change it.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(*self.by_id.get(id)?)
    }

    /// Iterates over the objects of a group, oldest first.
    pub(crate) fn members(&self, group: &Group) -> impl DoubleEndedIterator<Item = &T> {
        self.indexes(group)
            .iter()
            .filter_map(|&index| self.rows.get(index))
    }

    /// Iterates over all objects, oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.rows.iter()
    }

    /// Returns the number of objects.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn indexes(&self, group: &Group) -> &[usize] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }

    /// Returns the position of the id in the group's order of creation.
    fn position(&self, group: &Group, id: &str) -> Option<usize> {
        self.indexes(group).binary_search(self.by_id.get(id)?).ok()
    }
}

/// The part of a list that is requested.
#[derive(Debug, Default)]
pub(crate) struct Page {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
    created_from: Option<i64>,
    created_to: Option<i64>,
}

impl Page {
    /// The parameters that every list accepts.
    pub(crate) const PARAMS: [&'static str; 4] = ["limit", "starting_after", "ending_before", "created"];

    /// Reads the paging parameters.
    ///
    /// # Errors
    /// When the limit is outside 1–100, or `created` is no number.
    pub(crate) fn from_params(params: &Params) -> Result<Self, ApiError> {
        let limit = params.integer("limit")?.unwrap_or(10);
        let limit = usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=100).contains(limit))
            .ok_or_else(|| {
                ApiError::invalid_param("limit", "This value must be between 1 and 100.".to_owned())
            })?;
        let exact = params.integer("created")?;
        let from = params
            .integer("created[gte]")?
            .or(params.integer("created[gt]")?.map(|second| second + 1));
        let to = params
            .integer("created[lte]")?
            .or(params.integer("created[lt]")?.map(|second| second - 1));
        Ok(Self {
            limit,
            starting_after: params.owned("starting_after"),
            ending_before: params.owned("ending_before"),
            created_from: exact.or(from),
            created_to: exact.or(to),
        })
    }

    /// Returns the same page without objects that were created before that second.
    pub(crate) fn not_before(mut self, second: i64) -> Self {
        self.created_from = Some(self.created_from.unwrap_or(second).max(second));
        self
    }

    /// Returns the page of a group, newest first, and whether there is more in the direction of paging.
    ///
    /// # Errors
    /// When a cursor names no object of the list.
    pub(crate) fn pick<'a, T: Resource>(
        &self,
        table: &'a Table<T>,
        group: &Group,
        keep: impl Fn(&T) -> bool,
    ) -> Result<(Vec<&'a T>, bool), ApiError> {
        let wanted = self.limit + 1;
        let fits = |row: &&T| self.in_range(*row) && keep(row);
        let indexes = table.indexes(group);
        let at = |index: &usize| table.rows.get(*index);
        let mut rows: Vec<&T> = if let Some(cursor) = &self.ending_before {
            let start = cursor_position(table, group, cursor, "ending_before")? + 1;
            indexes
                .iter()
                .skip(start)
                .filter_map(at)
                .filter(fits)
                .take(wanted)
                .collect()
        } else {
            let end = match &self.starting_after {
                Some(cursor) => cursor_position(table, group, cursor, "starting_after")?,
                None => indexes.len(),
            };
            let newest_first = indexes.iter().take(end).rev().filter_map(at);
            newest_first
                .take_while(|row| self.not_too_old(*row))
                .filter(fits)
                .take(wanted)
                .collect()
        };
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.ending_before.is_some() {
            rows.reverse();
        }
        Ok((rows, more))
    }

    fn in_range<T: Resource>(&self, row: &T) -> bool {
        let created = row.created().seconds();
        self.created_from.is_none_or(|from| created >= from) && self.created_to.is_none_or(|to| created <= to)
    }

    fn not_too_old<T: Resource>(&self, row: &T) -> bool {
        self.created_from
            .is_none_or(|from| row.created().seconds() >= from)
    }
}

fn cursor_position<T: Resource>(
    table: &Table<T>,
    group: &Group,
    id: &str,
    param: &str,
) -> Result<usize, ApiError> {
    table
        .position(group, id)
        .ok_or_else(|| ApiError::no_such(T::NOUN, id, param))
}
