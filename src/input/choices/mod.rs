//! What the caller chooses beside the file, most of it in the [`options`]: which rows are meant, by a filter ([`selection`])
//! or by whose they are ([`tenants`]), and what is asked of every row ([`orders`]). Where no file has rows, a
//! [`machine_filter`] chooses machines.

pub(super) mod machine_filter;
pub(super) mod options;
pub(super) mod orders;
pub(super) mod selection;
pub(super) mod tenants;
