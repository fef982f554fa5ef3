//! The codes of rows that were not sent, or whose outcome another run has overtaken, and those that are looked for among the
//! codes of calls. They stand in results, in the state and in the manual (`src/help/results.md`). Those of rows in error are in
//! `src/input/findings/problem.rs`; the other ones of calls in `src/call/judge/verdict.rs` and `src/call/effect.rs`. All others
//! come from the service.

/// Left out by `--limit`.
pub(crate) const BEYOND_LIMIT: &str = "beyond_limit";
/// Left as it is, because somebody has changed it since.
pub(crate) const CHANGED_SINCE: &str = "changed_since";
/// Refused with 403, in an answer that names no code.
pub(crate) const FORBIDDEN: &str = "forbidden";
/// It may have been sent, and nobody knows what became of it.
pub(crate) const INTERRUPTED: &str = "interrupted";
/// Nothing was decided, because the machines could not be read.
pub(crate) const INVENTORY_NOT_READ: &str = "inventory_not_read";
/// Several machines have this name.
pub(crate) const MACHINE_AMBIGUOUS: &str = "machine_ambiguous";
/// No machine has this name.
pub(crate) const MACHINE_NOT_FOUND: &str = "machine_not_found";
/// It was done, and a later run may have changed it since: nobody knows until a list shows it.
pub(crate) const MAY_BE_CHANGED_SINCE: &str = "may_be_changed_since";
/// Why an undo leaves an operation as it is, so that nothing waits for it. Where a later run has taken away what another is to
/// add, its machine has neither, and removes wait all the same.
pub(crate) const LEFT_BY_UNDO: [&str; 2] = [CHANGED_SINCE, UNKNOWN_BEFORE];
/// The run ended before it.
pub(crate) const NOT_ATTEMPTED: &str = "not_attempted";
/// Refused with 404, in an answer that names no code: anybody may have given it, and it says nothing about a machine.
pub(crate) const NOT_FOUND: &str = "not_found";
/// The service's code for a machine that it does not know; a bulk call that is refused for one may bear another status than 404.
pub(crate) const RESOURCE_NOT_FOUND: &str = "ResourceNotFound";
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

/// Those by which something is decided later on. A service that names one of them does not mean ours.
const OURS: [&str; 14] = [
    BEYOND_LIMIT,
    CHANGED_SINCE,
    INTERRUPTED,
    INVENTORY_NOT_READ,
    MACHINE_AMBIGUOUS,
    MACHINE_NOT_FOUND,
    MAY_BE_CHANGED_SINCE,
    NOT_ATTEMPTED,
    NOT_FOUND,
    NOT_IN_INVENTORY,
    UNDONE,
    UNKNOWN_BEFORE,
    WAITS_FOR_ADD,
    WITHHELD,
];

/// A code that the service has named, which is never one of ours.
pub(crate) fn of_service(code: Box<str>) -> Box<str> {
    if OURS.contains(&&*code) { format!("service.{code}").into() } else { code }
}
