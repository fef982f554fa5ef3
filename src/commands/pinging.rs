//! The pings of a command: one after the other, each tried three times, and none of them in anybody's way.
//!
//! This is no call of the API: it uses no quota, and nothing waits for it but the end of the process, and that not for
//! long. What surprises: a ping on its way is waited for even when the command has ended, since a beginning that is heard
//! after the end would make a run that has ended look as if it went on; it is only not tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::api::{PING_TIME_OUT, Ping, PingClient};
use crate::clock::{SharedClock, sleep_until};
use crate::config::ConfigError;
use crate::exit::{CommandError, RunSetting};
use crate::report::{LiveStatus, PingFailure, PingOccasion, PingStyle, PingSubject, Screen};

/// A ping that is not heard is tried twice again.
const MOST_TRIES: u32 = 3;
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a command that goes on says so.
const SIGN_OF_LIFE: Duration = Duration::from_hours(1);
/// How long the end of the process may be held up: by a ping on its way, three tries, and the pauses between them.
pub(super) const LONGEST_END: Duration = Duration::from_secs(4 * PING_TIME_OUT.as_secs() + 2 * PAUSE.as_secs());

/// Tells a service how a command goes.
pub(super) struct Pings {
    pub(super) client: PingClient,
    pub(super) style: PingStyle,
    /// Exit statuses that are reported as a success.
    pub(super) successes: Vec<u8>,
    /// What the command is called.
    pub(super) command: &'static str,
    /// The mark that all pings of this command have in common.
    pub(super) run: String,
    pub(super) started: Instant,
    pub(super) clock: SharedClock,
    pub(super) live_status: LiveStatus,
    pub(super) screen: Screen,
    pub(super) has_warned: AtomicBool,
}

/// How the work has ended, once it has; what comes after it may end the command otherwise.
pub(super) type End = watch::Receiver<Option<u8>>;

impl Pings {
    /// Tells of the beginning, of each hour, and of the end.
    pub(super) async fn tell(&self, end: End) {
        accompany(end.clone(), async |occasion| self.say(occasion, &end).await, &self.successes).await;
    }

    /// Says it, as often as it takes and makes sense. That it was not heard is told once.
    async fn say(&self, occasion: PingOccasion, end: &End) {
        let standing = self.live_status.standing().await;
        let (command, run, elapsed) = (self.command, self.run.as_str(), self.started.elapsed());
        let subject = PingSubject { command, run, elapsed, standing: &standing };
        let Some(ping) = self.style.ping(occasion, &subject) else { return };
        let is_end = matches!(occasion, PingOccasion::End { .. });
        let mut tries = 1;
        while let Err(failure) = self.send(&ping).await {
            tracing::info!(?occasion, tries, %failure, "a ping was not heard");
            let is_overtaken = !is_end && end.borrow().is_some();
            if tries == MOST_TRIES || !failure.is_transient() || is_overtaken {
                return self.warn(&failure);
            }
            tries += 1;
            sleep_until(self.clock.as_ref(), self.clock.boot_time().plus(PAUSE)).await;
        }
    }

    async fn send(&self, ping: &Ping) -> Result<(), PingFailure> {
        self.style.judge(&self.client.send(ping).await?)
    }

    fn warn(&self, failure: &PingFailure) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            self.screen.warning(&format!("a ping was not heard: {failure}; nothing else depends on it"));
        }
    }
}

/// Says each thing in its time, until nobody has any more to tell of the end.
async fn accompany(mut end: End, mut say: impl AsyncFnMut(PingOccasion), successes: &[u8]) {
    say(PingOccasion::Start).await;
    let mut hours = tokio::time::interval(SIGN_OF_LIFE);
    hours.tick().await;
    let mut said = None;
    loop {
        let ended = tokio::select! {
            biased;
            ended = end.wait_for(|status| *status != said) => Some(ended.ok().and_then(|status| *status)),
            _ = hours.tick(), if said.is_none() => None,
        };
        match ended {
            None => say(PingOccasion::Underway).await,
            Some(None) => return,
            Some(Some(exit_status)) => {
                let is_success = successes.contains(&exit_status);
                said = Some(exit_status);
                say(PingOccasion::End { exit_status, is_success }).await;
            }
        }
    }
}

/// A mark that does not come twice: a UUID of version 4 (RFC 9562).
pub(super) fn new_mark(random: u128) -> String {
    let random = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{random:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|group| digits.get(group).unwrap_or_default()).join("-")
}

/// The error of an address to ping that cannot be used.
pub(super) fn about_pings(error: ConfigError) -> CommandError {
    CommandError::from(error).about(RunSetting::PingUrlFile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_says_that_it_goes_on_each_hour_and_how_it_ended_last() {
        let (ends, end) = watch::channel(None);
        let mut said = Vec::new();
        let began = tokio::time::Instant::now();
        let say = async |occasion| {
            said.push((began.elapsed().as_secs() / 60, occasion));
            if occasion == PingOccasion::Underway {
                // A service that is slow to hear moves no other sign of life.
                tokio::time::sleep(Duration::from_mins(10)).await;
            }
        };
        let command = async {
            tokio::time::sleep(Duration::from_mins(150)).await;
            ends.send(Some(5)).expect("somebody hears");
            // Nobody reads what it says of that.
            tokio::time::sleep(Duration::from_mins(150)).await;
            ends.send(Some(5)).expect("somebody hears");
            ends.send(Some(7)).expect("somebody hears");
            drop(ends);
        };
        tokio::join!(accompany(end, say, &[0, 5]), command);
        let [end, other] =
            [(5, true), (7, false)].map(|(exit_status, is_success)| PingOccasion::End { exit_status, is_success });
        let hourly = PingOccasion::Underway;
        assert_eq!(said, [(0, PingOccasion::Start), (60, hourly), (120, hourly), (150, end), (300, other)]);
    }

    #[test]
    fn a_mark_is_a_uuid() {
        assert_eq!(new_mark(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(new_mark(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
