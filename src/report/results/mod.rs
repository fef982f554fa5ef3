//! What became of every row: [`row`] says it of one, [`writing`] writes them all and counts, where to is the [`target`]; and which
//! rows hold still is a [`verification`].

mod row;
pub(super) mod target;
pub(super) mod verification;
pub(super) mod writing;
