//! The files by which failpoints tell what they reached, and by which they are ended.

use std::path::{Path, PathBuf};

use crate::programs::Program;

/// Where the processes of one kind write what they reached.
pub(crate) fn log(folder: &Path, program: Program) -> PathBuf {
    folder.join(format!("failpoints-{}.log", program.name()))
}

/// The file whose existence ends every failpoint in the processes that run.
pub(crate) fn off(folder: &Path) -> PathBuf {
    folder.join("failpoints.off")
}
