//! What is done to a state as a whole: the books of the dead are closed ([`sweeping`]), old runs forgotten ([`prune`]), and rows
//! copied elsewhere: all of them ([`moving`]), or those of the run under way ([`copying`]).

pub(super) mod copying;
pub(super) mod moving;
pub(super) mod prune;
pub(super) mod sweeping;
