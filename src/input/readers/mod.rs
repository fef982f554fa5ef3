//! Whoever goes over a whole file: one of orders, which becomes a sheet ([`rows`]), or any other list of machines ([`list`]).

pub(super) mod list;
pub(super) mod rows;
