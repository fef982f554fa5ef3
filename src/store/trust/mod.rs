//! Whether the state can be believed: intact ([`soundness`], and by its [`seal`]), the one that was left ([`custody`], by the [`witness`]), its files
//! still the same in the middle of a run ([`presence`], [`journal`]), with times that make sense ([`plausible`], over several
//! clocks [`timelines`], which were not always read: [`unread`]); and what nobody knows where that is not so ([`unknown_calls`]).

pub(super) mod custody;
pub(super) mod journal;
pub(super) mod plausible;
pub(super) mod presence;
pub(super) mod seal;
pub(super) mod soundness;
pub(super) mod timelines;
pub(super) mod unknown_calls;
pub(super) mod unread;
pub(super) mod witness;
