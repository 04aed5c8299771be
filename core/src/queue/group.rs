//! The payload of a task: the ids of a few jobs and the version of this format.

use std::convert::Infallible;

use apalis_core::backend::codec::Codec;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;

const VERSION: u8 = 1;

/// The maximum number of job ids in one payload; a longer one was not written by this program.
const MOST: usize = 1_000;

/// The contents of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    /// Job ids that were dispatched together.
    Jobs(Vec<JobId>),
    /// The payload has another version. The task is acknowledged; its jobs are rows of PostgreSQL, and a dispatcher of the version that is
    /// then running dispatches them again.
    OtherVersion,
    /// No version of this program wrote it.
    Garbage,
}

#[derive(Serialize, Deserialize)]
struct Payload<Ids> {
    v: u8,
    jobs: Ids,
}

#[derive(Deserialize)]
struct Version {
    v: u8,
}

pub(super) fn encode(jobs: &[JobId]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Payload { v: VERSION, jobs })
}

/// Decodes groups without ever failing: apalis ends a worker whose codec fails, and would pass the same payload to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GroupCodec;

impl Codec<Group> for GroupCodec {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, group: &Group) -> Result<Vec<u8>, Infallible> {
        let jobs: &[JobId] = match group {
            Group::Jobs(jobs) => jobs,
            Group::OtherVersion | Group::Garbage => &[],
        };
        Ok(encode(jobs).unwrap_or_default())
    }

    fn decode(&self, payload: &Vec<u8>) -> Result<Group, Infallible> {
        let Ok(Version { v }) = serde_json::from_slice(payload) else {
            return Ok(Group::Garbage);
        };
        if v != VERSION {
            return Ok(Group::OtherVersion);
        }
        let read: Option<Payload<Vec<JobId>>> = serde_json::from_slice(payload).ok();
        Ok(match read {
            Some(read) if read.jobs.len() <= MOST => Group::Jobs(read.jobs),
            _ => Group::Garbage,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_reads_back_and_anything_else_is_told_apart() {
        let jobs = vec![JobId(1), JobId(i64::MAX)];
        let payload = encode(&jobs).unwrap();
        assert_eq!(payload, br#"{"v":1,"jobs":[1,9223372036854775807]}"#);
        assert_eq!(GroupCodec.decode(&payload).unwrap(), Group::Jobs(jobs));
        let too_many = format!(r#"{{"v":1,"jobs":[{}1]}}"#, "1,".repeat(MOST));
        for wrong in [
            "",
            "{",
            "[1]",
            "null",
            r#"{"v":"1"}"#,
            r#"{"v":1}"#,
            r#"{"v":1,"jobs":["a"]}"#,
            too_many.as_str(),
        ] {
            assert_eq!(
                GroupCodec.decode(&wrong.as_bytes().to_vec()).unwrap(),
                Group::Garbage,
                "{wrong}"
            );
        }
        let newer = br#"{"v":2,"groups":{}}"#.to_vec();
        assert_eq!(GroupCodec.decode(&newer).unwrap(), Group::OtherVersion);
    }
}
