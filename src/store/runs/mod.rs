//! Runs: written by [`storing`], told of by [`rows`] and [`notes`], resumed by [`work`] and [`resumption`], kept from each
//! other by [`locks`]. What files of rules declared, and so own: [`declarations`].

pub(super) mod declarations;
pub(super) mod locks;
pub(super) mod notes;
pub(super) mod resumption;
pub(super) mod rows;
pub(super) mod storing;
pub(super) mod work;
