//! Runs that are in another's way, in words.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::outside::shown;
use crate::store::Holder;
use crate::words::{self, counted, group_digits};

/// Runs that are named; more are counted.
const NAMED: usize = 5;

/// Names the runs that are in the way: whose they are, since when, and what they change that we want to change.
#[must_use]
pub fn describe_holders(holders: &[Holder]) -> String {
    describe_in(holders, &TimeZone::system())
}

fn describe_in(holders: &[Holder], time_zone: &TimeZone) -> String {
    if let [holder] = holders {
        return describe(holder, time_zone);
    }
    let mut text = counted(holders.len() as u64, "run", "runs");
    for holder in holders.iter().take(NAMED) {
        // Writing into a string cannot fail.
        let _written = write!(text, "\n  {}", describe(holder, time_zone));
    }
    if holders.len() > NAMED {
        let _written = write!(text, "\n  and {} more", group_digits((holders.len() - NAMED) as u64));
    }
    text
}

fn describe(holder: &Holder, time_zone: &TimeZone) -> String {
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
