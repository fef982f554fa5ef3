//! What will happen, in a few lines, and the question whether it may.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::input::CheckedInput;
use super::{CommandError, ExitStatus};
use crate::input::{Excerpt, RequestedChange};
use crate::plan::schedule::lower_bound;
use crate::quota::{Quota, QuotaScope};
use crate::report::{Screen, describe_duration, group_digits};

/// The most kinds of change that are listed.
const LISTED_CHANGES: usize = 12;

/// Describes the changes, the largest group first, and how long they take at the very least.
pub(super) fn describe(
    input: &CheckedInput,
    limit: Option<u32>,
    quota: &Quota,
    scope: QuotaScope,
    destination: &str,
) -> String {
    let planned = input.operations.operations.len();
    let sent = limit.map_or(planned, |limit| planned.min(limit as usize));
    let mut groups: HashMap<_, u64> = HashMap::new();
    for operation in input.operations.operations.iter().take(sent) {
        *groups.entry(operation.change).or_default() += 1;
    }
    let (mut tag_calls, mut value_calls) = (0, 0);
    for (change, count) in &groups {
        match change.change() {
            RequestedChange::Tag { .. } => tag_calls += count,
            RequestedChange::DeviceValue(_) => value_calls += count,
        }
    }
    let mut sorted: Vec<_> = groups.into_iter().collect();
    sorted.sort_by(|(left, left_count), (right, right_count)| right_count.cmp(left_count).then(left.cmp(right)));
    let mut text = format!(
        "{} operations for {} rows, on {destination}:",
        group_digits(sent as u64),
        group_digits(u64::from(input.sheet.row_count))
    );
    for (change, count) in sorted.iter().take(LISTED_CHANGES) {
        let what = match change.change() {
            RequestedChange::Tag { action, tag } => {
                let tag = input.sheet.tags.get(tag as usize).map(|tag| Excerpt::new(tag.as_str()));
                let tag = tag.map(|tag| tag.to_string()).unwrap_or_default();
                format!("{} tag \"{tag}\"", action.as_str().to_lowercase())
            }
            RequestedChange::DeviceValue(value) => format!("set device value {value}"),
        };
        // Writing into a string cannot fail.
        let _written = write!(text, "\n  {:>9} × {what}", group_digits(*count));
    }
    if sorted.len() > LISTED_CHANGES {
        let _written = write!(text, "\n  and {} more kinds of change", sorted.len() - LISTED_CHANGES);
    }
    let least = match scope {
        QuotaScope::Api => lower_bound(quota, tag_calls).max(lower_bound(quota, value_calls)),
        QuotaScope::App => lower_bound(quota, tag_calls + value_calls),
    };
    if !least.is_zero() {
        let end = jiff::Timestamp::now().checked_add(least).unwrap_or(jiff::Timestamp::MAX);
        let end = end.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M");
        let _written = write!(text, "\nThe quota makes that {} at least: done about {end}.", describe_duration(least));
    }
    text
}

/// Asks whether it may happen.
pub(super) fn ask(screen: &Screen, description: &str) -> Result<(), CommandError> {
    screen.line(description);
    match screen.confirm("Go on?") {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(CommandError::text(ExitStatus::InputRefused, "you did not say yes, so nothing was sent", None))
        }
        Err(error) => Err(CommandError::new(ExitStatus::Usage, error, Some("add --yes".to_owned()))),
    }
}
