//! What is said of a file, and nothing that reads one: why it cannot be used ([`error`]), what is wrong with its rows
//! ([`problem`]), many alike as one ([`finding`]), what was taken off or skipped ([`note`], [`skipped`]), and what may be
//! allowed ([`accept`]). What is shown of the file itself is an [`excerpt`], or a [`delimiter_name`].

pub(super) mod accept;
pub(super) mod delimiter_name;
pub(super) mod error;
pub(super) mod excerpt;
pub(super) mod finding;
pub(super) mod note;
pub(super) mod problem;
pub(super) mod skipped;
