//! What a task carries: the ids of a few jobs, with the version of this form.

use std::convert::Infallible;

use apalis_core::backend::codec::Codec;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;

const VERSION: u8 = 1;

/// Job ids handed over together; none if a payload is not of this version. Such a task is acknowledged and its jobs, whose
/// rows say what to do, are handed over again by a dispatcher of the version that runs then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group(pub(super) Option<Vec<JobId>>);

#[derive(Serialize, Deserialize)]
struct Payload<Ids> {
    v: u8,
    jobs: Ids,
}

pub(super) fn encode(jobs: &[JobId]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Payload { v: VERSION, jobs })
}

/// Reads groups and never fails: apalis ends a worker whose codec does, and would hand the same payload to the next one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GroupCodec;

impl Codec<Group> for GroupCodec {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, group: &Group) -> Result<Vec<u8>, Infallible> {
        Ok(encode(group.0.as_deref().unwrap_or_default()).unwrap_or_default())
    }

    fn decode(&self, payload: &Vec<u8>) -> Result<Group, Infallible> {
        let read: Option<Payload<Vec<JobId>>> = serde_json::from_slice(payload).ok();
        Ok(Group(read.filter(|read| read.v == VERSION).map(|read| read.jobs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_reads_back_and_anything_else_is_nothing() {
        let jobs = vec![JobId(1), JobId(i64::MAX)];
        let payload = encode(&jobs).unwrap();
        assert_eq!(payload, br#"{"v":1,"jobs":[1,9223372036854775807]}"#);
        assert_eq!(GroupCodec.decode(&payload).unwrap(), Group(Some(jobs)));
        for wrong in ["", "{", "[1]", r#"{"v":2,"jobs":[1]}"#, r#"{"v":1,"jobs":["a"]}"#] {
            assert_eq!(
                GroupCodec.decode(&wrong.as_bytes().to_vec()).unwrap(),
                Group(None),
                "{wrong}"
            );
        }
    }
}
