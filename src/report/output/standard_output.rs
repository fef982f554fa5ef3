//! Whether there is a standard output at all.
//!
//! Before `main`, the standard library opens `/dev/null` in the place of a standard stream that is closed (`>&-`), so that
//! whatever is written is taken and nobody gets it. So it is looked at earlier, by one of the functions that the system's
//! loader calls first.

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
