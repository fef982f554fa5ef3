//! How often something must be said before it is believed.

/// How often a machine must be answered as not found before that is believed, where nothing else speaks against it.
pub(crate) const NOT_FOUND_BELIEVED_AFTER: u32 = 3;
/// How often an answer must show the machine without the change before that is believed.
pub(in crate::call) const NOT_APPLIED_BELIEVED_AFTER: u32 = 2;
/// How often a read must be answered with more than any true answer holds before that is believed: what is read then has not
/// changed meanwhile, and asking for it takes calls, time and memory.
pub(in crate::call) const TOO_MUCH_BELIEVED_AFTER: u32 = 2;
/// How often a bulk call must be put off before that is taken for a refusal of the group.
pub(super) const BUSY_BELIEVED_AFTER: u32 = 3;
