//! A state in a directory of this machine: whether the place is safe ([`directory`]), how its [`database`] is reached, who is
//! alive ([`liveness`]), and a disk that does not answer ([`silence`]).

pub(super) mod database;
pub(super) mod directory;
pub(super) mod liveness;
pub(super) mod silence;
