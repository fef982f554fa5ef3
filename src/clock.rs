//! Time and randomness as values.
//!
//! Every rule about waiting counts in [`BootTime`], which goes on while the machine is suspended and which nobody can
//! set; wall time is for people, for `Retry-After` dates and for stamps that must outlive a reboot. What surprises: the
//! runtime's own timers stand still during suspend, so [`sleep_until`] sleeps in slices and looks again.

mod rate;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// Microseconds since the machine was started, suspend included. Comparable only within one [`BootId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BootTime(i64);

impl BootTime {
    /// The moment this many microseconds after the start of the machine; negative ones lie before it.
    pub(crate) const fn from_microseconds(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// Microseconds since the start of the machine.
    pub(crate) const fn as_microseconds(self) -> i64 {
        self.0
    }

    /// The moment `duration` later; saturates at the end of time.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(microseconds(duration)))
    }

    /// The moment `duration` earlier; saturates at the beginning of time.
    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(microseconds(duration)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A duration in whole microseconds, rounded up so that no wait ends early.
fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX)
}

/// Which clock a [`BootTime`] was read on: the start of the machine that it counts from, and the offset of the container
/// that has boot times of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootId(String);

impl BootId {
    /// Takes the operating system's identifier.
    #[cfg(test)]
    pub(crate) const fn new(identifier: String) -> Self {
        Self(identifier)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The clocks of the machine, or of a simulation.
pub(crate) trait Clock: Send + Sync + fmt::Debug {
    /// Time since the machine was started, suspend included.
    fn boot_time(&self) -> BootTime;
    /// The time of day that the machine believes in.
    fn wall_time(&self) -> Timestamp;
    /// Which clock boot times are read on: those of the same one can be compared.
    fn boot_id(&self) -> &BootId;
    /// By how much, in millionths, the boot clock was seen to run too fast at the worst.
    fn excess(&self) -> u32 {
        0
    }
}

/// A clock that rooms hand on to each other.
pub(crate) type SharedClock = Arc<dyn Clock>;

/// Why the machine's clocks cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClockError {
    /// The operating system does not say which start of the machine this is.
    #[error("the operating system does not tell which start of the machine this is")]
    BootId(#[source] std::io::Error),
}

/// What the machine's clock shows. One that is wrong by thousands of years shows the last time that can be written.
pub(crate) fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX)
}

/// Whether a clock shows a time that no state can hold: times are kept in microseconds, of which 16 digits reach to the year 2286.
pub(crate) fn is_beyond_all_books(now: Timestamp) -> bool {
    !(0..10_i64.pow(16)).contains(&now.as_microsecond())
}

/// The machine's own clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    boot_id: BootId,
    rate: rate::Rate,
}

impl SystemClock {
    /// Looks up the boot id; the clocks themselves are read on every call.
    ///
    /// # Errors
    /// [`ClockError::BootId`] when the operating system does not tell it.
    pub(crate) fn new() -> Result<Self, ClockError> {
        let boot_id = platform::boot_id().map_err(ClockError::BootId)?;
        Ok(Self { boot_id: BootId(boot_id), rate: rate::Rate::default() })
    }
}

impl Clock for SystemClock {
    fn boot_time(&self) -> BootTime {
        platform::boot_time()
    }

    fn wall_time(&self) -> Timestamp {
        now()
    }

    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }

    fn excess(&self) -> u32 {
        self.rate.excess(platform::sample)
    }
}

/// The longest that a timer of the runtime is trusted without looking at the boot clock again.
const SLEEP_SLICE: Duration = Duration::from_secs(10);

/// Sleeps until the boot clock shows `until`, through suspends.
pub(crate) async fn sleep_until(clock: &dyn Clock, until: BootTime) {
    loop {
        let left = until.since(clock.boot_time());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLEEP_SLICE)).await;
    }
}

/// A clock that moves with the runtime's timer, for simulations under a paused clock.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct VirtualClock {
    boot_id: BootId,
    origin: tokio::time::Instant,
    boot_origin: BootTime,
    wall_origin: Timestamp,
}

#[cfg(test)]
impl VirtualClock {
    /// A clock that shows these times now.
    pub(crate) fn new(boot_id: BootId, boot_origin: BootTime, wall_origin: Timestamp) -> Self {
        Self { boot_id, origin: tokio::time::Instant::now(), boot_origin, wall_origin }
    }
}

#[cfg(test)]
impl Clock for VirtualClock {
    fn boot_time(&self) -> BootTime {
        self.boot_origin.plus(self.origin.elapsed())
    }

    fn wall_time(&self) -> Timestamp {
        self.wall_origin.checked_add(self.origin.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn boot_time() -> super::BootTime {
        let time = clock_gettime(ClockId::Boottime);
        super::BootTime::from_microseconds(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000))
    }

    /// The start of the machine, and the offset of a time namespace: two containers show the same boot id and different
    /// boot times.
    pub(super) fn boot_id() -> std::io::Result<String> {
        name_of_the_clock(std::fs::read_to_string("/proc/sys/kernel/random/boot_id"))
    }

    pub(super) fn name_of_the_clock(boot_id: std::io::Result<String>) -> std::io::Result<String> {
        let (boot_id, offset) = match boot_id {
            Ok(boot_id) => (boot_id.trim().to_owned(), offset()),
            // A root in which nothing is mounted has no /proc.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (String::new(), Offset::Unknown),
            Err(error) => return Err(error),
        };
        Ok(match offset {
            Offset::None => boot_id,
            Offset::Some(offset) => format!("{boot_id}+{offset}"),
            // Nobody else is known to read the same clock.
            Offset::Unknown => format!("{boot_id}?{:016x}", fastrand::u64(..)),
        })
    }

    enum Offset {
        None,
        Some(String),
        Unknown,
    }

    fn offset() -> Offset {
        let link = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}"));
        match (link("time"), link("time_for_children")) {
            // The offsets that the system shows are those of a process's children.
            (Ok(own), Ok(of_children)) if own == of_children => {}
            // A system without time namespaces.
            (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => return Offset::None,
            _ => return Offset::Unknown,
        }
        let Ok(text) = std::fs::read_to_string("/proc/self/timens_offsets") else { return Offset::Unknown };
        let offsets: Vec<&str> = text.split_whitespace().collect();
        let is_zero = offsets
            .iter()
            .all(|word| word.parse::<i64>().is_ok_and(|number| number == 0) || word.parse::<i64>().is_err());
        if is_zero { Offset::None } else { Offset::Some(offsets.join(" ")) }
    }

    /// The same time span on a clock whose rate is adjusted and on one whose rate is not. Neither counts suspend.
    #[expect(clippy::unnecessary_wraps, reason = "its counterparts have no steady clock")]
    pub(super) fn sample() -> Option<super::rate::Sample> {
        let nanoseconds = |id| {
            let time = clock_gettime(id);
            time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
        };
        let before = nanoseconds(ClockId::Monotonic);
        let steady = nanoseconds(ClockId::MonotonicRaw);
        let after = nanoseconds(ClockId::Monotonic);
        Some(super::rate::Sample { before, steady, after })
    }
}

#[cfg(target_vendor = "apple")]
mod platform {
    use rustix::time::{ClockId, clock_gettime};

    /// On Apple's systems the monotonic clock goes on during sleep.
    pub(super) fn boot_time() -> super::BootTime {
        let time = clock_gettime(ClockId::Monotonic);
        super::BootTime::from_microseconds(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000))
    }

    pub(super) fn boot_id() -> std::io::Result<String> {
        let mut sysctl = std::process::Command::new("/usr/sbin/sysctl");
        sysctl.args(["-n", "kern.bootsessionuuid"]).env_clear().stdin(std::process::Stdio::null());
        let answer = sysctl.output()?;
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        if text.is_empty() { Err(std::io::Error::other("kern.bootsessionuuid is empty")) } else { Ok(text) }
    }

    pub(super) const fn sample() -> Option<super::rate::Sample> {
        None
    }
}

#[cfg(windows)]
mod platform {
    /// `GetTickCount64` counts sleep and hibernation, in steps of 10 to 16 milliseconds.
    pub(super) fn boot_time() -> super::BootTime {
        #[expect(unsafe_code, reason = "the call takes nothing and cannot fail; no safe wrapper is maintained")]
        let milliseconds = unsafe { windows_sys::Win32::System::SystemInformation::GetTickCount64() };
        super::BootTime::from_microseconds(i64::try_from(milliseconds).unwrap_or(i64::MAX / 1000).saturating_mul(1000))
    }

    /// The counter that Windows raises at every start.
    pub(super) fn boot_id() -> std::io::Result<String> {
        windows_registry::LOCAL_MACHINE
            .open(r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters")
            .and_then(|key| key.get_u32("BootId"))
            .map(|count| format!("boot-{count}"))
            .map_err(std::io::Error::other)
    }

    pub(super) const fn sample() -> Option<super::rate::Sample> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_state_could_hold_is_known_for_one() {
        for (time, expected) in [
            ("1969-12-31T23:59:59Z", true),
            ("1970-01-01T00:00:00Z", false),
            ("2286-11-20T17:46:39.999999Z", false),
            ("2286-11-20T17:46:40Z", true),
            ("9999-01-01T00:00:00Z", true),
        ] {
            let time: Timestamp = time.parse().expect("a time");
            assert_eq!(is_beyond_all_books(time), expected, "{time}");
        }
        assert!(is_beyond_all_books(Timestamp::MAX), "what a clock shows that cannot be written");
    }

    #[test]
    fn boot_time_saturates_and_rounds_waits_up() {
        let moment = BootTime::from_microseconds(10);
        assert_eq!(moment.plus(Duration::from_nanos(1)).as_microseconds(), 11);
        assert_eq!(moment.plus(Duration::MAX).as_microseconds(), i64::MAX);
        assert_eq!(moment.minus(Duration::from_micros(30)).as_microseconds(), -20);
        assert_eq!(moment.since(BootTime::from_microseconds(12)), Duration::ZERO);
        assert_eq!(BootTime::from_microseconds(12).since(moment), Duration::from_micros(2));
    }

    #[test]
    fn the_machine_has_a_boot_clock_that_goes_forward() {
        let clock = SystemClock::new().expect("clocks");
        assert!(!clock.boot_id().as_str().is_empty());
        let earlier = clock.boot_time();
        assert!(clock.boot_time() >= earlier);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn boot_time_is_what_the_system_shows() {
        let text = std::fs::read_to_string("/proc/uptime").expect("a system that is up");
        let seconds = text.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
        let (shown, ours) = (BootTime(0).plus(Duration::from_secs_f64(seconds)), platform::boot_time());
        assert!(ours >= shown && ours.since(shown) < Duration::from_mins(1), "{ours:?} is not {shown:?}");
    }

    /// A suspend is not to be had in a test; a namespace whose boot clock is a day ahead of all other clocks is.
    #[cfg(target_os = "linux")]
    #[test]
    fn boot_time_goes_on_while_other_clocks_stand_still() {
        let apart = |program: &std::ffi::OsStr, arguments: &[&str]| {
            let mut unshare = std::process::Command::new("unshare");
            unshare.args(["--user", "--map-root-user", "--time", "--boottime", "86400", "--fork"]);
            unshare.arg(program).args(arguments).output()
        };
        // Not every system lets its users have one.
        if !apart("true".as_ref(), &[]).is_ok_and(|ended| ended.status.success()) {
            return;
        }
        let tests = std::env::current_exe().expect("a path");
        let ended = apart(tests.as_os_str(), &["--exact", "clock::tests::boot_time_is_what_the_system_shows"]);
        let said = String::from_utf8_lossy(&ended.expect("an end").stdout).into_owned();
        assert!(said.contains("1 passed"), "{said}");
    }

    /// Without `/proc` nobody can tell whose clock is the same, so that no two processes may take theirs for one.
    #[cfg(target_os = "linux")]
    #[test]
    fn where_the_system_tells_no_start_every_process_has_a_clock_of_its_own() {
        use std::io::{Error, ErrorKind};
        let untold = || platform::name_of_the_clock(Err(ErrorKind::NotFound.into())).expect("a name");
        assert_ne!(untold(), untold());
        let forbidden: Error = ErrorKind::PermissionDenied.into();
        assert!(platform::name_of_the_clock(Err(forbidden)).is_err(), "a /proc that is there is to be read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_virtual_sleep_ends_exactly_when_asked_for() {
        let clock = VirtualClock::new(BootId::new("b".into()), BootTime::from_microseconds(5), Timestamp::UNIX_EPOCH);
        sleep_until(&clock, BootTime::from_microseconds(3_600_000_005)).await;
        let late = clock.boot_time().since(BootTime::from_microseconds(3_600_000_005));
        assert!(late <= Duration::from_millis(1), "{late:?}");
        assert_eq!(clock.wall_time().as_second(), 3600);
    }
}
