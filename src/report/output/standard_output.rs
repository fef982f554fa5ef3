//! The streams that the process was given: whether there is a standard output at all, and what else names one of them.
//!
//! Before `main`, the standard library opens `/dev/null` in the place of a standard stream that is closed (`>&-`), so that
//! whatever is written is taken and nobody gets it. So it is looked at earlier, by one of the functions that the system's
//! loader calls first.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod first_look {
    use std::sync::atomic::{AtomicBool, Ordering};

    static IS_CLOSED: AtomicBool = AtomicBool::new(false);

    #[expect(unsafe_code, reason = "it is called before `main`, and asks the system one question without any state")]
    #[used]
    #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
    #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        IS_CLOSED.store(rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err(), Ordering::Relaxed);
    }

    pub(super) fn is_closed() -> bool {
        IS_CLOSED.load(Ordering::Relaxed)
    }
}

/// Whether standard output was closed when the process was started.
pub(super) fn is_closed() -> bool {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return first_look::is_closed();
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    false
}

/// Another handle of standard output or standard error, if this is a name of what one of them leads to. Opened by its name, a
/// file that is open already would be written from its beginning.
#[cfg(unix)]
pub(crate) fn own_stream(path: &Path) -> Option<File> {
    use std::os::fd::{AsFd, BorrowedFd};

    use rustix::fs::{fstat, stat};

    let named = stat(path).ok()?;
    let is_named =
        |stream: BorrowedFd<'_>| fstat(stream).is_ok_and(|it| (it.st_dev, it.st_ino) == (named.st_dev, named.st_ino));
    let own = |stream: BorrowedFd<'_>| is_named(stream).then(|| stream.try_clone_to_owned().ok()).flatten();
    own(io::stdout().as_fd()).or_else(|| own(io::stderr().as_fd())).map(File::from)
}

#[cfg(not(unix))]
pub(crate) fn own_stream(_path: &Path) -> Option<File> {
    None
}
