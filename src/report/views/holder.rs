//! Runs that are in another's way, in words.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::outside::shown;
use crate::store::Holder;
use crate::words::{self, counted, group_digits};

/// Runs that are named; more are counted.
const NAMED: usize = 5;

/// Names the runs that are in the way: whose they are, since when, and what they change that we want to change.
pub(crate) fn describe_holders(holders: &[Holder], now: Timestamp) -> String {
    let time_zone = TimeZone::system();
    if let [holder] = holders {
        return describe(holder, now, &time_zone);
    }
    let mut text = counted(holders.len() as u64, "run", "runs");
    for holder in holders.iter().take(NAMED) {
        // Writing into a string cannot fail.
        let _written = write!(text, "\n  {}", describe(holder, now, &time_zone));
    }
    if holders.len() > NAMED {
        let _written = write!(text, "\n  and {} more", group_digits((holders.len() - NAMED) as u64));
    }
    text
}

fn describe(holder: &Holder, now: Timestamp, time_zone: &TimeZone) -> String {
    let begun = words::second(holder.created_at, time_zone);
    let mut text = format!(
        "run {} (process {} on {}, started {begun}, input {}",
        holder.run_id,
        holder.system_process_id,
        shown(&holder.host),
        shown(&holder.input_path)
    );
    if let Some(note) = &holder.note {
        // Writing into a string cannot fail.
        let _written = write!(text, ", note \"{}\"", shown(note));
    }
    text.push(')');
    if let Some(silent_from) = holder.silent_from {
        let until = words::clock_time(silent_from, now, time_zone);
        return format!("{text}: its process died, and its last calls may still arrive until {until}");
    }
    let Some(overlap) = &holder.overlap else { return text + " is running" };
    let machine = shown(&overlap.machine);
    let _written = match &overlap.tag {
        Some(tag) => write!(text, " changes the tag \"{}\" of machine {machine}, too", shown(tag)),
        None => write!(text, " sets the device value of machine {machine}, too"),
    };
    if overlap.operations > 1 {
        let _written = write!(text, ", and {} more that this run asks for", group_digits(overlap.operations - 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{SharedClock, SystemClock};
    use crate::store::{Claim, NewRun, Store};

    #[tokio::test]
    async fn a_run_whose_process_is_dead_is_not_said_to_be_running() {
        let place = tempfile::tempdir().expect("a directory");
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let [one, other] = [(); 2].map(|()| Store::open(place.path(), clock.clone()));
        let (one, other) = (one.await.expect("a store"), other.await.expect("a store"));
        let account = one.account("tenant", "app").await.expect("an account");
        let run = one.create_run(NewRun::sample(account)).await.expect("a run");
        let Ok(Claim::Held(mut holders)) = other.claim_run(run).await else { panic!("it is free") };
        let now: Timestamp = "2020-05-01T14:05:10Z".parse().expect("a time");
        let text = |holders: &[Holder]| describe(&holders[0], now, &TimeZone::UTC);
        assert!(text(&holders).ends_with(") is running"), "{}", text(&holders));
        holders[0].silent_from = Some(now + std::time::Duration::from_secs(65));
        let ending = "): its process died, and its last calls may still arrive until 14:06:15 UTC";
        assert!(text(&holders).ends_with(ending), "{}", text(&holders));
    }
}
