//! Files for people: complete or not there ([`atomic`]), in the place of nobody else's work ([`earlier`]), and never over what
//! the command reads or keeps ([`reserved`]).

pub(super) mod atomic;
pub(super) mod earlier;
pub(super) mod reserved;
