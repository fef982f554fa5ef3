//! The codes with which this program answers a row that it did not send, or whose outcome another run has overtaken. They stand
//! in results, in the state and in the manual (`src/help/results.md`); those of rows in error are in
//! `src/input/findings/problem.rs`, and all others come from the service.

/// Left out by `--limit`.
pub(crate) const BEYOND_LIMIT: &str = "beyond_limit";
/// Left as it is, because somebody has changed it since.
pub(crate) const CHANGED_SINCE: &str = "changed_since";
/// Nothing was decided, because the machines could not be read.
pub(crate) const INVENTORY_NOT_READ: &str = "inventory_not_read";
/// Several machines have this name.
pub(crate) const MACHINE_AMBIGUOUS: &str = "machine_ambiguous";
/// No machine has this name.
pub(crate) const MACHINE_NOT_FOUND: &str = "machine_not_found";
/// It was done, and a later run may have changed it since: nobody knows until a list shows it.
pub(crate) const MAY_BE_CHANGED_SINCE: &str = "may_be_changed_since";
/// Not tried, because the tenant's list lacks the machine.
pub(crate) const NOT_IN_INVENTORY: &str = "not_in_inventory";
/// Its run was taken back before it was reached.
pub(crate) const UNDONE: &str = "undone";
/// Left by an undo, because nobody knows what to go back to.
pub(crate) const UNKNOWN_BEFORE: &str = "unknown_before";
/// A remove whose machine did not get the tag that it was to get first.
pub(crate) const WAITS_FOR_ADD: &str = "waits_for_add";
/// A remove that the guard withholds.
pub(crate) const WITHHELD: &str = "withheld";
