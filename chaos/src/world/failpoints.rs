//! The files in which failpoints record what they reached, and by which they are disabled.

use std::path::{Path, PathBuf};

use crate::programs::Program;

/// Returns the file in which the processes of one kind record the failpoints that they reached.
pub(crate) fn log(folder: &Path, program: Program) -> PathBuf {
    folder.join(format!("failpoints-{}.log", program.name()))
}

/// Returns the file whose existence disables every failpoint in the running processes.
pub(crate) fn off(folder: &Path) -> PathBuf {
    folder.join("failpoints.off")
}
