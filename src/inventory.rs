//! The tenant's machines, as the service listed them at one time: read through [`crate::call`], held in memory, looked up
//! by id and by name.
//!
//! A tenant may have a million machines, so a machine is a record of fixed size: texts that many share (tags, groups,
//! platforms) are numbers, and names stand one behind the other in one text. Nothing here is decided: what a row means by
//! a name, or what need not be changed, is for the plan. What surprises: what the service did not show is unknown and not
//! absent, so [`ListedMachine::has_tag`] has three answers; and a name may stand on several records, since a reinstalled
//! machine gets a new one.

mod builder;
mod machines;
mod names;
mod read;
mod texts;
mod walk;

pub(crate) use crate::api::MachineRecord;
pub(crate) use builder::InventoryBuilder;
pub(crate) use machines::{Inventory, ListedMachine, MachinePosition, NameMatch};
pub(crate) use read::{InventoryEvent, InventoryObserver, MachineSink, ReadError, ReadProgress, read};
pub(crate) use walk::{PageLimits, PageSummary, PageWalk, WalkError, WalkStep};

#[cfg(test)]
mod tests;
