//! What a command tells whoever watches it from afar: where it stands is its [`live_status`], shown as [`metrics`], in a file
//! ([`metrics_file`]), and by [`pings`].

pub(super) mod live_status;
mod metrics;
pub(super) mod metrics_file;
pub(super) mod pings;
