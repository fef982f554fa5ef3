//! The tenant's machines, as the service listed them at one time: held in memory, looked up by id and by name.
//!
//! A tenant may have a million machines, so a machine is a record of fixed size: texts that many share (tags, groups,
//! platforms) are numbers, and names stand one behind the other in one text. Nothing here is decided: what a row means by
//! a name, or what need not be changed, is for the plan. What surprises: what the service did not show is unknown and not
//! absent, so [`ListedMachine::has_tag`] has three answers; and a name may stand on several records, since a reinstalled
//! machine gets a new one.

mod builder;
mod machines;
mod names;
mod texts;

pub(crate) use builder::{InventoryBuilder, MachineSink};
pub(crate) use machines::{Inventory, ListedMachine, MachinePosition, NameMatch};

#[cfg(test)]
mod tests;
