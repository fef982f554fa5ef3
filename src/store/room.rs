//! How much room there is for the state.

use std::path::Path;

/// Bytes that this account may still write where this path is; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(path).ok()?;
    status.f_bavail.checked_mul(status.f_frsize)
}

/// Bytes that this account may still write where this path is; `None` where the system does not tell.
#[cfg(not(unix))]
pub const fn free_bytes(_path: &Path) -> Option<u64> {
    None
}
