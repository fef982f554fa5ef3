//! The clock of a server in simulations whose time is virtual: what it shows is said at the beginning of each transaction.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::store::server::ServerAddress;

/// What a clock shows in microseconds whenever somebody looks.
pub(crate) type ServerClock = Box<dyn Fn() -> i64 + Send>;

static CLOCKS: LazyLock<Mutex<HashMap<PathBuf, ServerClock>>> = LazyLock::new(Mutex::default);

fn clocks() -> MutexGuard<'static, HashMap<PathBuf, ServerClock>> {
    CLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the server of this database go by a clock.
pub(super) fn begin(address: &ServerAddress, clock: ServerClock) {
    clocks().insert(address.name(), clock);
}

/// Has nobody look at it any more.
pub(super) fn end(address: &ServerAddress) {
    clocks().remove(&address.name());
}

/// Whether the server of this database goes by one.
pub(in crate::store) fn is_kept(address: &ServerAddress) -> bool {
    clocks().contains_key(&address.name())
}

/// What tells the server what its clock shows, behind other settings of a transaction.
pub(in crate::store::server) fn setting(address: &ServerAddress) -> String {
    clocks()
        .get(&address.name())
        .map_or_else(String::new, |clock| format!("; SET LOCAL tagfleet.time TO '{}'", clock()))
}
